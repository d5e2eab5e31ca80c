use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::{AppConfig, SecretsProblem, Store, StoreError, parse_app};
use super::store::{mode, names};
use super::{NODE_ID, default, document, full_flow, with};

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(super) const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const TUNNEL_ID: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";

/// A folder of its own with a machine in it.
pub(super) struct Host {
    folder: TempDir,
}

impl Host {
    pub(super) fn new() -> Self {
        let host = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(host.folder.path().join("etc")).unwrap();
        host.become_machine("0123456789abcdef0123456789abcdef\n");
        host
    }

    pub(super) fn become_machine(&self, id: &str) {
        fs::write(self.machine_id(), id).unwrap();
    }

    pub(super) fn machine_id(&self) -> PathBuf {
        self.folder.path().join("machine-id")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("etc").join(name)
    }

    pub(super) fn names(&self) -> Vec<String> {
        names(&self.folder.path().join("etc"))
    }

    pub(super) fn store(&self) -> Store {
        Store::with_machine_id(self.path("config.json"), self.machine_id())
    }

    pub(super) fn save(&self, config: &AppConfig) {
        self.store().prepare(config).unwrap().commit().unwrap();
    }

    pub(super) fn write(&self, name: &str, content: &Value) {
        fs::write(self.path(name), content.to_string()).unwrap();
    }

    /// The problem with the secrets, and that nothing was changed over it.
    pub(super) fn problem(&self) -> SecretsProblem {
        let before = fs::read(self.path("secrets.json")).unwrap();
        let message = self.store().load().unwrap_err().to_string();
        let begin = format!("secrets file {}: ", self.path("secrets.json").display());
        assert!(message.starts_with(&begin), "{message}");
        assert!(self.store().reload(NODE_ID).is_err());
        match self.store().prepare(&config()) {
            Err(StoreError::Secrets { path, problem }) => {
                assert_eq!(path, self.path("secrets.json"));
                assert_eq!(fs::read(&path).unwrap(), before);
                problem
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Every secret that there is.
fn with_secrets() -> Value {
    with(
        &document(&json!([full_flow()])),
        &json!({
            "node_id": NODE_ID.to_string(),
            "server": {"listen_addr": "::", "listen_port": 1,
                "tls": {"cert_path": "/hush/c.pem", "key_path": "/hush/k.pem"},
                "auth": {"enabled": true, "jwt_secret": JWT_SECRET, "token_lifetime_secs": 60,
                    "public_metrics": false, "token_rate_limit_per_minute": 3,
                    "clients": [{"client_id": "c", "client_secret": "hush", "role": "monitor"}]}},
            "manager": {"url": "wss://m", "registration_token": "hush1", "node_secret": "hush2",
                "node_id": "n"},
            "tunnels": [{"id": TUNNEL_ID, "name": "T", "protocol": "udp", "mode": "relay",
                "direction": "egress", "local_addr": "0.0.0.0:9000", "relay_addr": "r:4433",
                "tunnel_encryption_key": KEY, "tunnel_bind_secret": KEY, "tunnel_psk": KEY,
                "tls_cert_pem": "-----BEGIN C", "tls_key_pem": "-----BEGIN K"}],
        }),
    )
}

pub(super) fn config() -> AppConfig {
    parse_app(with_secrets(), &default()).unwrap().value
}

/// What `secrets.json` says in clear.
fn plain() -> Value {
    let with_secrets = with_secrets();
    json!({
        "version": 1,
        "server_auth": with_secrets["server"]["auth"],
        "server_tls": with_secrets["server"]["tls"],
        "manager_registration_token": "hush1",
        "manager_node_secret": "hush2",
        "tunnels": {TUNNEL_ID: {"tunnel_encryption_key": KEY, "tunnel_bind_secret": KEY,
            "tunnel_psk": KEY, "tls_cert_pem": "-----BEGIN C", "tls_key_pem": "-----BEGIN K"}},
    })
}

fn assert_hidden(path: &Path) {
    let bytes = fs::read(path).unwrap();
    for secret in [JWT_SECRET, "hush", KEY, "-----BEGIN"] {
        let is_there = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!is_there, "{secret} is in {}", path.display());
    }
}

#[test]
fn secrets_and_the_rest_have_a_file_each() {
    let host = Host::new();
    host.save(&config());
    assert_eq!(
        host.names(),
        ["config.json", "config.json.bak", "secrets.json"]
    );
    for name in host.names() {
        assert_hidden(&host.path(&name));
    }
    assert_eq!(mode(&host.path("secrets.json")), 0o600);
    let loaded = host.store().load().unwrap();
    assert_eq!(loaded.config, config());
    assert!(!loaded.must_save && loaded.unknown.paths().is_empty());
    assert_eq!(host.store().reload(NODE_ID).unwrap().config, config());
}

#[test]
fn a_node_without_secrets_has_no_file_for_them() {
    let host = Host::new();
    host.save(&default());
    assert_eq!(host.names(), ["config.json", "config.json.bak"]);
}

#[test]
fn a_save_that_changes_no_secret_leaves_their_file() {
    let host = Host::new();
    host.save(&config());
    let before = fs::read(host.path("secrets.json")).unwrap();
    let mut renamed = config();
    renamed.device_name = Some("D".to_owned());
    host.save(&renamed);
    assert_eq!(fs::read(host.path("secrets.json")).unwrap(), before);
    assert_eq!(host.store().load().unwrap().config, renamed);
}

#[test]
fn the_last_secret_leaves_nothing_behind() {
    let host = Host::new();
    host.save(&config());
    let long = fs::metadata(host.path("secrets.json")).unwrap().len();
    host.save(&default());
    let short = fs::metadata(host.path("secrets.json")).unwrap().len();
    assert!(short < long && short < 100, "{short} of {long}");
    let loaded = host.store().load().unwrap();
    assert_eq!(loaded.config, default());
    assert!(!loaded.must_save);
}

#[test]
fn secrets_in_the_configuration_file_are_moved() {
    let host = Host::new();
    host.write("config.json", &with_secrets());
    let loaded = host.store().load().unwrap();
    assert_eq!(loaded.config, config());
    assert!(loaded.must_save);
    assert_eq!(host.names(), ["config.json"], "a backup would hold them");
    host.save(&loaded.config);
    assert_hidden(&host.path("config.json"));
    let again = host.store().load().unwrap();
    assert_eq!(again.config, config());
    assert!(!again.must_save);
}

#[test]
fn what_is_written_there_by_hand_replaces_what_was() {
    let host = Host::new();
    host.save(&config());
    let mut edited = config().to_public();
    edited["server"]["auth"] = json!({"enabled": false});
    edited["manager"]["registration_token"] = json!("new");
    edited["server"]["tls"] = Value::Null;
    host.write("config.json", &edited);
    for loaded in [host.store().load(), host.store().reload(NODE_ID)] {
        let loaded = loaded.unwrap();
        assert!(loaded.must_save);
        let manager = loaded.config.manager.unwrap();
        assert_eq!(manager.registration_token.unwrap().expose(), "new");
        assert_eq!(manager.node_secret.unwrap().expose(), "hush2");
        assert!(!loaded.config.server.auth.unwrap().enabled);
        // In a file, null is not a wish to remove anything: TLS stays on.
        assert_eq!(loaded.config.server.tls, config().server.tls);
    }
}

#[test]
fn plain_secrets_are_read_and_encrypted() {
    let host = Host::new();
    host.write("config.json", &config().to_public());
    host.write("secrets.json", &plain());
    let loaded = host.store().load().unwrap();
    assert_eq!(loaded.config, config());
    assert!(loaded.must_save);
    host.save(&loaded.config);
    assert_hidden(&host.path("secrets.json"));
    assert_eq!(mode(&host.path("secrets.json")), 0o600);
    let again = host.store().load().unwrap();
    assert!(again.config == config() && !again.must_save);

    for fine in ["{}", " {\"version\": 1, \"server_auth\": null, \"x\": 1}\n"] {
        fs::write(host.path("secrets.json"), fine).unwrap();
        host.write("config.json", &default().to_public());
        let loaded = host.store().load().unwrap();
        assert!(loaded.config == default() && loaded.must_save);
    }
}

#[test]
fn a_file_that_others_can_read_is_written_again() {
    let host = Host::new();
    host.save(&config());
    let path = host.path("secrets.json");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let loaded = host.store().load().unwrap();
    assert!(loaded.must_save);
    host.save(&loaded.config);
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn secrets_without_a_configuration_keep_the_node_closed() {
    let host = Host::new();
    host.save(&config());
    fs::remove_file(host.path("config.json")).unwrap();
    let loaded = host.store().load().unwrap();
    assert!(loaded.must_save && loaded.config.flows.is_empty());
    assert_eq!(loaded.config.server.auth, config().server.auth);
    assert!(host.path("config.json.bak.old").exists());
}

#[test]
fn a_secret_that_is_wrong_is_refused_and_not_shown() {
    let host = Host::new();
    host.write("config.json", &config().to_public());
    let short = json!({"server_auth": {"enabled": true, "jwt_secret": "hush", "clients": []}});
    host.write("secrets.json", &short);
    let message = host.store().load().unwrap_err().to_string();
    assert_eq!(
        message,
        "server, auth: jwt_secret has a value that is not shown, expected a string of 32 to 4096 characters \
         (at server.auth.jwt_secret)"
    );
}

#[test]
fn the_configuration_is_not_called_like_the_secrets() {
    let host = Host::new();
    host.write("secrets.json", &config().to_public());
    let store = Store::with_machine_id(host.path("secrets.json"), host.machine_id());
    let message = store.load().unwrap_err().to_string();
    assert!(message.contains("the name is taken"), "{message}");
}

#[test]
fn a_backup_is_offered_and_not_taken() {
    let host = Host::new();
    host.save(&config());
    let (path, backup) = (host.path("config.json"), host.path("config.json.bak"));
    let offer = format!(
        "; {} holds the last good configuration: copy it to {} to go on from there",
        backup.display(),
        path.display()
    );
    for bad in ["", "{", "{\"version\": 2}"] {
        fs::write(&path, bad).unwrap();
        let message = host.store().load().unwrap_err().to_string();
        assert!(message.ends_with(&offer), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        let message = host.store().reload(NODE_ID).unwrap_err().to_string();
        assert!(!message.contains("config.json.bak"), "{message}");
    }
    fs::copy(&backup, &path).unwrap();
    assert_eq!(host.store().load().unwrap().config, config());
    fs::write(&path, "{").unwrap();
    fs::write(&backup, "{").unwrap();
    assert!(matches!(
        host.store().load(),
        Err(StoreError::Unparseable { .. })
    ));
}

#[test]
fn a_good_configuration_by_hand_is_backed_up() {
    let host = Host::new();
    host.save(&config());
    let mut edited = config().to_public();
    edited["device_name"] = json!("by hand");
    host.write("config.json", &edited);
    let loaded = host.store().reload(NODE_ID).unwrap();
    assert!(!loaded.must_save);
    let backup = fs::read_to_string(host.path("config.json.bak")).unwrap();
    assert!(backup.contains("by hand"), "{backup}");
}

/// What a crash leaves between two renames of a save.
#[test]
fn the_pair_is_old_or_new_after_every_rename() {
    let (old, mut new) = (config(), config());
    new.server.auth = None;
    new.tunnels.clear();
    new.manager.as_mut().unwrap().node_secret = None;
    new.device_name = Some("new".to_owned());
    let host = Host::new();
    host.save(&old);
    let old_config = fs::read(host.path("config.json")).unwrap();
    let old_secrets = fs::read(host.path("secrets.json")).unwrap();
    let prepared = host.store().prepare(&new).unwrap();
    let drafts: Vec<String> = host
        .names()
        .into_iter()
        .filter(|name| name.starts_with(".secrets.json."))
        .collect();
    assert_eq!(drafts.len(), 2);
    // Of the two drafts, the one that still has the old secrets is the longer one.
    let length = |name: &String| fs::metadata(host.path(name)).unwrap().len();
    let both = drafts.iter().max_by_key(|name| length(name)).unwrap();
    let both = fs::read(host.path(both)).unwrap();
    prepared.commit().unwrap();
    let new_config = fs::read(host.path("config.json")).unwrap();
    let new_secrets = fs::read(host.path("secrets.json")).unwrap();

    for (config, secrets, expected, is_settled) in [
        (&old_config, &old_secrets, &old, true),
        (&old_config, &both, &old, false),
        (&new_config, &both, &new, false),
        (&new_config, &new_secrets, &new, true),
    ] {
        fs::write(host.path("config.json"), config).unwrap();
        fs::write(host.path("secrets.json"), secrets).unwrap();
        let loaded = host.store().load().unwrap();
        assert_eq!(&loaded.config, expected);
        assert_eq!(loaded.must_save, !is_settled);
        // Both a repair and the next change find the way on.
        for next in [&loaded.config, &old, &new] {
            host.save(next);
            let loaded = host.store().load().unwrap();
            assert!(&loaded.config == next && !loaded.must_save);
        }
    }
}
