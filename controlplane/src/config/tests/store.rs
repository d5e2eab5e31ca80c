use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::super::{AppConfig, FILE_BYTES_MAX, Store, StoreError};
use super::{NODE_ID, app, default, document, full_flow, with};

/// A folder of its own, and the configuration file in it.
pub(super) fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    (folder, path)
}

fn config() -> AppConfig {
    app(document(&json!([full_flow()]))).value
}

fn save(path: &Path, config: &AppConfig) {
    let store = Store::new(path.to_owned());
    store.prepare(config).unwrap().commit().unwrap();
}

pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(super) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_missing_file_is_the_default_with_a_new_identity() {
    let (_folder, path) = folder();
    let store = Store::new(path.clone());
    let (first, second) = (store.load().unwrap(), store.load().unwrap());
    assert!(first.must_save);
    assert_ne!(first.config.node_id, second.config.node_id);
    assert_eq!(first.config, AppConfig::default_with(first.config.node_id));
    assert!(!path.exists());

    save(&path, &first.config);
    let third = store.load().unwrap();
    assert!(!third.must_save);
    assert_eq!(third.config, first.config);
}

#[test]
fn a_file_without_identity_gets_one_or_keeps_that_of_the_node() {
    let (_folder, path) = folder();
    fs::write(&path, document(&json!([])).to_string()).unwrap();
    let store = Store::new(path);
    let loaded = store.load().unwrap();
    assert!(loaded.must_save && loaded.config.node_id != NODE_ID);
    let reloaded = store.reload(NODE_ID).unwrap();
    assert!(reloaded.must_save && reloaded.config.node_id == NODE_ID);
}

#[test]
fn what_is_saved_is_read_again_and_readable_by_people() {
    let (folder, path) = folder();
    save(&path, &config());
    let loaded = Store::new(path.clone()).load().unwrap();
    assert_eq!(loaded.config, config());
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.ends_with("}\n") && text.contains("\n  \"flows\": ["),
        "{text}"
    );
    assert_eq!(names(folder.path()), ["config.json", "config.json.bak"]);
    assert_eq!(
        fs::read_to_string(path.with_extension("json.bak")).unwrap(),
        text
    );
}

#[test]
fn unknown_fields_of_the_file_are_told() {
    let (_folder, path) = folder();
    let text = with(&document(&json!([])), &json!({"x": 1})).to_string();
    fs::write(&path, text).unwrap();
    assert_eq!(Store::new(path).load().unwrap().unknown.paths(), ["x"]);
}

#[test]
fn nothing_changes_before_commit() {
    let (folder, path) = folder();
    save(&path, &default());
    let before = fs::read(&path).unwrap();
    let store = Store::new(path.clone());
    let prepared = store.prepare(&config()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(folder.path()).len(), 4);
    drop(prepared);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(folder.path()), ["config.json", "config.json.bak"]);
}

#[test]
fn the_mode_of_the_file_stays() {
    let (_folder, path) = folder();
    save(&path, &config());
    let reference = path.with_file_name("reference");
    fs::write(&reference, "").unwrap();
    assert_eq!(mode(&path), mode(&reference), "the umask rules");
    for bits in [0o600, 0o640, 0o664, 0o444] {
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        save(&path, &config());
        assert_eq!(mode(&path), bits);
        assert_eq!(mode(&path.with_extension("json.bak")), bits);
    }
}

#[test]
fn a_symbolic_link_stays_a_link() {
    let (folder, path) = folder();
    let real = folder.path().join("elsewhere");
    fs::create_dir(&real).unwrap();
    save(&real.join("real.json"), &default());
    symlink(real.join("real.json"), &path).unwrap();
    save(&path, &config());
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert_eq!(Store::new(path).load().unwrap().config, config());
    assert_eq!(names(&real), ["real.json", "real.json.bak"]);
}

#[test]
fn leftovers_of_a_crash_are_removed_and_nothing_else() {
    let (folder, path) = folder();
    let store = Store::new(path.clone());
    save(&path, &config());
    let prepared = store.prepare(&default()).unwrap();
    // What a kill between prepare and commit leaves: the file, and nobody to remove it.
    std::mem::forget(prepared);
    let others = [
        ".config.json.tmp",
        ".config.json.backup1.tmp",
        ".other.json.abcdef.tmp",
        "config.json.tmp",
    ];
    for other in others {
        fs::write(folder.path().join(other), "mine").unwrap();
    }
    fs::create_dir(folder.path().join(".config.json.aaaaaa.tmp")).unwrap();
    assert_eq!(names(folder.path()).len(), 9);
    assert_eq!(store.load().unwrap().config, config());
    let mut expected = others.to_vec();
    expected.extend([".config.json.aaaaaa.tmp", "config.json", "config.json.bak"]);
    expected.sort_unstable();
    assert_eq!(names(folder.path()), expected);
}

#[test]
fn a_bad_file_is_a_clear_error() {
    let (folder, path) = folder();
    let store = Store::new(path.clone());
    for (content, expected) in [
        (&b""[..], "it is empty"),
        (
            b"{\"version\": 1,\n",
            "is not JSON: EOF while parsing a value at line 2 column 0",
        ),
        (b"\xff\xfe", "is not JSON"),
        (b"{} x", "trailing characters"),
        (b"[]", "document is a list, expected an object"),
        (b"{}", "version is missing"),
    ] {
        fs::write(&path, content).unwrap();
        let message = store.load().unwrap_err().to_string();
        assert!(message.contains(expected), "{message}\n{expected}");
    }
    fs::write(&path, "[".repeat(1 << 20)).unwrap();
    assert!(matches!(store.load(), Err(StoreError::Unparseable { .. })));
    fs::write(&path, "{\"version\": 2}").unwrap();
    assert!(matches!(store.load(), Err(StoreError::Invalid(_))));

    fs::File::create(&path)
        .unwrap()
        .set_len(FILE_BYTES_MAX + 1)
        .unwrap();
    let message = store.load().unwrap_err().to_string();
    assert!(
        message.ends_with("cannot read it: it is larger than 64 MiB"),
        "{message}"
    );

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(store.load(), Err(StoreError::Unreadable { .. })));
    assert!(matches!(
        store.prepare(&config()),
        Err(StoreError::Write { .. })
    ));
    assert_eq!(names(folder.path()), ["config.json"]);
}

#[test]
fn a_missing_file_at_reload_is_an_error() {
    let (_folder, path) = folder();
    match Store::new(path).reload(NODE_ID) {
        Err(StoreError::Unreadable { source, .. }) => {
            assert_eq!(source.kind(), io::ErrorKind::NotFound);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_a_clear_error() {
    // Neither is writable for anybody, root included.
    for folder in ["/proc", "/nowhere/at/all"] {
        let store = Store::new(Path::new(folder).join("config.json"));
        assert!(store.load().unwrap().must_save);
        let error = store.prepare(&config()).unwrap_err();
        let message = error.to_string();
        let begin =
            format!("configuration file {folder}/config.json: cannot create a temporary file");
        assert!(message.starts_with(&begin), "{message}");
        assert!(matches!(error, StoreError::Write { .. }));
    }
}

#[test]
fn a_full_disk_shows_before_anything_is_applied() {
    let (folder, _) = folder();
    // A mount namespace of its own: the small disk is gone with the process, however that ends.
    let script = "mount -t tmpfs -o size=64k tmpfs \"$FULL_DISK\" || exit 77
        exec \"$0\" --ignored --exact config::tests::store::inside_the_full_disk";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .env("FULL_DISK", folder.path())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.contains("1 passed"), "{text}");
        }
        Ok(output) if output.status.code() != Some(101) => {
            eprintln!("skipped, no mount namespace here: {output:?}");
        }
        Ok(output) => panic!("{output:?}"),
        Err(error) => eprintln!("skipped, no mount namespace here: {error}"),
    }
}

#[test]
#[ignore = "run by a_full_disk_shows_before_anything_is_applied in a namespace of its own"]
fn inside_the_full_disk() {
    let folder = PathBuf::from(std::env::var_os("FULL_DISK").unwrap());
    let path = folder.join("config.json");
    save(&path, &default());
    let full = fs::write(folder.join("filler"), vec![0; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    match Store::new(path.clone()).prepare(&config()) {
        Err(StoreError::Write { source, .. }) => {
            assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(names(&folder), ["config.json", "config.json.bak", "filler"]);
    assert_eq!(Store::new(path).load().unwrap().config, default());
}

#[test]
fn a_configuration_that_could_not_be_read_again_is_not_written() {
    let (folder, path) = folder();
    save(&path, &default());
    let mut huge = default();
    huge.device_name = Some("y".repeat(64 << 20));
    let message = Store::new(path.clone())
        .prepare(&huge)
        .unwrap_err()
        .to_string();
    assert!(message.contains("larger than 64 MiB"), "{message}");
    assert_eq!(names(folder.path()), ["config.json", "config.json.bak"]);
    assert_eq!(Store::new(path).load().unwrap().config, default());
}

#[test]
fn a_target_that_became_a_folder_leaves_nothing_behind() {
    let (folder, path) = folder();
    let prepared = Store::new(path.clone()).prepare(&config()).unwrap();
    fs::create_dir(&path).unwrap();
    let message = prepared.commit().unwrap_err().to_string();
    assert!(
        message.contains("cannot put the new file in its place"),
        "{message}"
    );
    assert_eq!(names(folder.path()), ["config.json"]);
}
