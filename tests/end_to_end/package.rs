//! The Debian package, made from the programs under test and installed below a folder: what is there, what an upgrade
//! restarts, and that nothing stays behind.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bilbycast_tests::node::binary_folder;
use tempfile::TempDir;

/// A root with nothing but the database of dpkg, and the tools that speak to systemd replaced by ones that take notes.
/// Scripts of packages run outside of it and find it in DPKG_ROOT.
struct Root {
    folder: TempDir,
    as_root: Vec<&'static str>,
}

impl Root {
    /// Nothing where packages can be neither made nor installed.
    fn new() -> Option<Self> {
        for (program, package) in [
            ("dpkg-deb", "dpkg"),
            ("deb-systemd-helper", "init-system-helpers"),
            ("systemd-sysusers", "systemd"),
            ("objdump", "binutils"),
        ] {
            if !has(program) {
                bilbycast_test_peers::skip(format!("no {program} (Debian package {package})"));
                return None;
            }
        }
        let as_root = if nix::unistd::geteuid().is_root() {
            Vec::new()
        } else if has("fakeroot") {
            vec!["fakeroot", "--"]
        } else {
            bilbycast_test_peers::skip("installing needs root or fakeroot");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let root = Self { folder, as_root };
        for path in [
            "var/lib/dpkg/updates",
            "var/lib/dpkg/info",
            "etc",
            "run/systemd/system",
            "tools",
        ] {
            fs::create_dir_all(root.path(path)).unwrap();
        }
        root.write("var/lib/dpkg/status", "");
        root.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
        root.write("etc/group", "root:x:0:\n");
        for tool in ["deb-systemd-invoke", "systemctl"] {
            let notes = root.path("notes");
            let script = format!("#!/bin/sh\necho \"{tool} $*\" >>'{}'\n", notes.display());
            let path = root.path("tools").join(tool);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Some(root)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn has(&self, path: &str) -> bool {
        // A link may point to what is only there in a running system.
        self.path(path).symlink_metadata().is_ok()
    }

    /// Makes the package in a version.
    fn package(&self, version: &str) -> PathBuf {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/build-deb.sh");
        let output = Command::new(script)
            .arg(binary_folder())
            .arg(self.path("packages"))
            .env("DEB_VERSION", version)
            .env("DEB_COMPRESSION", "none")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap().trim_end().into()
    }

    /// Runs dpkg and returns what systemd was asked for.
    #[track_caller]
    fn dpkg(
        &self,
        action: &str,
        what: impl AsRef<OsStr>,
        environment: &[(&str, &str)],
    ) -> Vec<String> {
        self.write("notes", "");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut words = self.as_root.iter().copied().chain(["dpkg"]);
        let output = Command::new(words.next().unwrap())
            .args(words)
            .arg(format!("--root={}", self.folder.path().display()))
            // Nothing else is installed in there.
            .args(["--force-script-chrootless", "--force-depends"])
            .args(["--force-unsafe-io", action])
            .arg(what)
            .env(
                "PATH",
                format!("{}:{path}:/usr/sbin:/sbin", self.path("tools").display()),
            )
            .env_remove("BILBYCAST_RESTART_DATAPLANE")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let notes = fs::read_to_string(self.path("notes")).unwrap();
        notes.lines().map(str::to_owned).collect()
    }
}

fn has(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    folders
        .into_iter()
        .any(|folder| Path::new(folder).join(program).exists())
}

fn said(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn it_installs_upgrades_and_leaves_nothing_behind() {
    let Some(root) = Root::new() else { return };
    let (first, second) = (root.package("1.0-1"), root.package("1.0-2"));

    let asked = root.dpkg("--install", &first, &[]);
    let start = "deb-systemd-invoke start bilbycast-dataplane.service bilbycast-controlplane.socket \
                 bilbycast-controlplane.service";
    assert_eq!(asked, ["systemctl --system daemon-reload", start]);
    for path in [
        "usr/bin/bilbycast-analyze",
        "usr/bin/bilbycast-controlplane",
        "usr/bin/bilbycast-dataplane",
        "lib/systemd/system/bilbycast-controlplane.service",
        "lib/systemd/system/bilbycast-controlplane.socket",
        "lib/systemd/system/bilbycast-dataplane.service",
        "lib/systemd/system/bilbycast-monitor.socket",
        "etc/systemd/system/multi-user.target.wants/bilbycast-dataplane.service",
        "etc/systemd/system/multi-user.target.wants/bilbycast-controlplane.service",
        "etc/systemd/system/sockets.target.wants/bilbycast-controlplane.socket",
        "etc/default/bilbycast-controlplane",
        "etc/default/bilbycast-dataplane",
        "usr/share/man/man1/bilbycast-analyze.1.gz",
        "usr/share/man/man8/bilbycast-controlplane.8.gz",
        "usr/share/man/man8/bilbycast-dataplane.8.gz",
        "usr/share/bash-completion/completions/bilbycast-dataplane",
        "usr/share/fish/vendor_completions.d/bilbycast-dataplane.fish",
        "usr/share/zsh/vendor-completions/_bilbycast-dataplane",
        "usr/share/doc/bilbycast-edge/copyright",
        "usr/share/doc/bilbycast-edge/examples/bilbycast-dataplane-cores.conf",
        "usr/share/doc/bilbycast-edge/examples/bilbycast-dataplane-realtime.conf",
        "usr/share/doc/bilbycast-edge/examples/grafana/bilbycast-edge.json",
        "usr/share/doc/bilbycast-edge/examples/prometheus/bilbycast-alerts.yml",
    ] {
        assert!(root.has(path), "{path} is missing");
    }
    assert!(!root.has("etc/systemd/system/sockets.target.wants/bilbycast-monitor.socket"));
    let users = fs::read_to_string(root.path("etc/passwd")).unwrap();
    assert!(users.contains("\nbilbycast:"), "{users}");
    let config = root.path("var/lib/bilbycast/config.json");
    let mode = fs::metadata(&config).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "there may be secrets in it");
    let program = Command::new(root.path("usr/bin/bilbycast-dataplane"))
        .arg("--version")
        .output()
        .unwrap();
    assert!(program.status.success());

    // What an administrator changed outlives an upgrade, which restarts the control plane and not the data plane.
    fs::write(&config, "{}").unwrap();
    let defaults = "DATAPLANE_OPTIONS=\"--cores 1\"\n";
    root.write("etc/default/bilbycast-dataplane", defaults);
    fs::remove_file(
        root.path("etc/systemd/system/sockets.target.wants/bilbycast-controlplane.socket"),
    )
    .unwrap();
    let asked = root.dpkg("--install", &second, &[]);
    let restarts = |asked: &[String]| -> Vec<String> {
        let restarts = asked
            .iter()
            .filter_map(|line| line.strip_prefix("deb-systemd-invoke restart "));
        restarts.map(str::to_owned).collect()
    };
    assert_eq!(
        restarts(&asked),
        ["bilbycast-controlplane.service"],
        "{asked:?}"
    );
    assert!(
        !asked.iter().any(|line| line.contains(" stop ")),
        "{asked:?}"
    );
    assert_eq!(fs::read_to_string(&config).unwrap(), "{}");
    assert_eq!(
        fs::read_to_string(root.path("etc/default/bilbycast-dataplane")).unwrap(),
        defaults
    );
    assert!(
        !root.has("etc/systemd/system/sockets.target.wants/bilbycast-controlplane.socket"),
        "what was disabled stays so"
    );

    // The data plane too when somebody asks for it: once, or always.
    let both = [
        "bilbycast-controlplane.service",
        "bilbycast-dataplane.service",
    ];
    let asked = root.dpkg(
        "--install",
        &first,
        &[("BILBYCAST_RESTART_DATAPLANE", "yes")],
    );
    assert_eq!(restarts(&asked), both, "{asked:?}");
    root.write(
        "etc/default/bilbycast-dataplane",
        "RESTART_ON_UPGRADE=yes\n",
    );
    let asked = root.dpkg("--install", &second, &[]);
    assert_eq!(restarts(&asked), both, "{asked:?}");
    let asked = root.dpkg(
        "--install",
        &second,
        &[("BILBYCAST_RESTART_DATAPLANE", "no")],
    );
    assert_eq!(restarts(&asked), both[..1], "{asked:?}");

    let asked = root.dpkg("--remove", "bilbycast-edge", &[]);
    let stop = "deb-systemd-invoke stop bilbycast-monitor.socket bilbycast-controlplane.socket \
                bilbycast-controlplane.service bilbycast-dataplane.service";
    assert_eq!(asked, [stop, "systemctl --system daemon-reload"]);
    assert!(
        config.exists() && root.has("etc/default/bilbycast-dataplane"),
        "kept for the next installation"
    );
    assert!(!root.has("usr/bin/bilbycast-dataplane"));

    let asked = root.dpkg("--purge", "bilbycast-edge", &[]);
    assert!(asked.is_empty(), "{asked:?}");
    for path in [
        "usr",
        "lib",
        "etc/default",
        "etc/systemd",
        "var/lib/bilbycast",
        "var/lib/systemd",
    ] {
        let left = files(&root.path(path));
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// Everything below a folder that is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flat_map(|entry| {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                files(&entry.path())
            } else {
                vec![entry.path()]
            }
        })
        .collect()
}

/// The same programs make the same package, to the byte.
#[test]
fn it_is_reproducible() {
    let Some(root) = Root::new() else { return };
    let first = fs::read(root.package("1.0-1")).unwrap();
    let again = fs::read(root.package("1.0-1")).unwrap();
    assert!(first == again, "two packages of the same programs differ");
}
