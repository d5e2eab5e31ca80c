//! A child process whose output is kept, and which never outlives its test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cpu;

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its standard error in `folder/name.log`, and its standard output there too.
    #[must_use]
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).expect("the test's folder can be written");
        let errors = output.try_clone().expect("a descriptor can be duplicated");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = cpu::unbound(|| command.spawn())
            .unwrap_or_else(|error| panic!("cannot start {name}: {command:?}: {error}"));
        Self {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id fits into pid_t");
        kill(Pid::from_raw(pid), signal)
            .unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.name));
    }

    /// Kills it without giving it a chance to notice, and waits until it is gone.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        let _gone = self.child.wait();
    }

    /// Its exit status, when it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    ///
    /// When it is still running after `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let name = self.name.clone();
        crate::wait::until(&format!("{name} ends"), limit, || self.ended())
    }

    /// Asks it to end and waits.
    ///
    /// # Panics
    ///
    /// When it is still running after [`TERMINATE_LIMIT`].
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait(TERMINATE_LIMIT)
    }

    /// # Panics
    ///
    /// When it has ended.
    pub fn assert_alive(&mut self) {
        if let Some(status) = self.ended() {
            panic!("{} ended, {status}:\n{}", self.name, self.printed());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let pid = i32::try_from(self.pid()).unwrap_or_default();
            // A stopped process does not see SIGTERM before it goes on.
            let _asked = kill(Pid::from_raw(pid), Signal::SIGTERM);
            let _continued = kill(Pid::from_raw(pid), Signal::SIGCONT);
            let deadline = Instant::now() + TERMINATE_LIMIT;
            while matches!(self.child.try_wait(), Ok(None)) {
                if Instant::now() > deadline {
                    eprintln!("{} ignored SIGTERM for {TERMINATE_LIMIT:?}", self.name);
                    let _killed = self.child.kill();
                    let _gone = self.child.wait();
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        if std::thread::panicking() {
            let printed = self.printed();
            let lines: Vec<&str> = printed.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
            eprintln!("--- {} said last:\n{}", self.name, shown.join("\n"));
        }
    }
}

/// How long a process may take to end after SIGTERM.
pub const TERMINATE_LIMIT: Duration = Duration::from_secs(3);

const LINES_SHOWN: usize = 40;
