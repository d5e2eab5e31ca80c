//! Who is at the other end of a Unix socket, and who may be at its name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;

/// User id of the process that connected.
///
/// # Errors
///
/// What the kernel says.
pub fn peer_uid(stream: &UnixStream) -> io::Result<u32> {
    Ok(getsockopt(stream, PeerCredentials)?.uid())
}

/// User id of this process.
#[must_use]
pub fn own_uid() -> u32 {
    geteuid().as_raw()
}

/// Holds the right to a socket name; while it lives, no other process gets it.
#[derive(Debug)]
pub struct NameLock(#[expect(dead_code, reason = "held for its lock")] Flock<File>);

/// Takes the right to the name `socket`; `None` when another process has it. Makes the folder when it is missing.
///
/// # Errors
///
/// What the kernel says about the folder or the lock file beside the socket.
pub fn lock_name(socket: &Path) -> io::Result<Option<NameLock>> {
    if let Some(folder) = socket.parent()
        && !folder.as_os_str().is_empty()
    {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)?;
    }
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(NameLock(lock))),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Listens at `socket`, mode 0600. A socket that an earlier run left there is replaced, so the name must be locked.
///
/// # Errors
///
/// What the kernel says.
pub fn listen(socket: &Path, _lock: &NameLock) -> io::Result<UnixListener> {
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The socket must never be open to others, not even between bind and chmod.
    let before = umask(Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(socket);
    umask(before);
    listener
}
