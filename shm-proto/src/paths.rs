//! Where the control socket and the shared memory are when nobody says.

use std::path::{Path, PathBuf};

/// The system-wide folder, made by systemd (`RuntimeDirectory=bilbycast`).
pub const SYSTEM_FOLDER: &str = "/run/bilbycast";

/// File name of the control socket.
pub const CONTROL_SOCKET: &str = "dataplane.sock";

/// File name of the shared memory.
pub const SHM: &str = "counters.shm";

/// Folder for socket and counters: [`SYSTEM_FOLDER`] when it can be written, else `$XDG_RUNTIME_DIR/bilbycast`, else a
/// folder of this user's own under the system's temporary folder.
#[must_use]
pub fn default_folder() -> PathBuf {
    let system = Path::new(SYSTEM_FOLDER);
    if is_writable(system) || (!system.exists() && is_writable(Path::new("/run"))) {
        return system.to_owned();
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(folder) if !folder.is_empty() => Path::new(&folder).join("bilbycast"),
        _ => std::env::temp_dir().join(format!("bilbycast-{}", effective_uid())),
    }
}

fn is_writable(folder: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = std::ffi::CString::new(folder.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) == 0 }
}

fn effective_uid() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}
