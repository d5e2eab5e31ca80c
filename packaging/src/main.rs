//! `bilbycast-manuals FOLDER`: writes manual pages and completions for shells, made from the command lines of the programs
//! themselves, in the tree that a package installs below `/usr/share`.
#![forbid(unsafe_code)]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};
use clap_complete::Shell;
use clap_mangen::Man;

/// Writes manual pages and completions for shells.
#[derive(Debug, Parser)]
#[command(name = "bilbycast-manuals", version)]
struct Arguments {
    /// Folder to write them into, such as usr/share of a package
    folder: PathBuf,
}

/// A program and what its manual page says beyond its options.
struct Program {
    command: Command,
    section: &'static str,
    more: &'static str,
}

fn main() -> ExitCode {
    let folder = Arguments::parse().folder;
    for program in programs() {
        if let Err(error) = write(&folder, program) {
            eprintln!("bilbycast-manuals: {}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn programs() -> [Program; 3] {
    [
        Program {
            command: bilbycast_analyze::arguments::Arguments::command(),
            section: "1",
            more: ANALYZE,
        },
        Program {
            command: controlplane::arguments::Arguments::command(),
            section: "8",
            more: CONTROLPLANE,
        },
        Program {
            command: dataplane::arguments::Arguments::command(),
            section: "8",
            more: DATAPLANE,
        },
    ]
}

fn write(folder: &Path, program: Program) -> io::Result<()> {
    let Program {
        mut command,
        section,
        more,
    } = program;
    let name = command.get_name().to_owned();

    let mut page = Vec::new();
    Man::new(command.clone())
        .section(section)
        .manual("bilbycast-edge")
        // A date would make two builds of the same source differ.
        .date("")
        .render(&mut page)?;
    page.extend_from_slice(more.as_bytes());
    let man = folder.join(format!("man/man{section}"));
    fs::create_dir_all(&man)?;
    fs::write(man.join(format!("{name}.{section}")), page)?;

    for (shell, place) in [
        (Shell::Bash, format!("bash-completion/completions/{name}")),
        (
            Shell::Fish,
            format!("fish/vendor_completions.d/{name}.fish"),
        ),
        (Shell::Zsh, format!("zsh/vendor-completions/_{name}")),
    ] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, &name, &mut script);
        let path = folder.join(place);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, script)?;
    }
    Ok(())
}

const ANALYZE: &str = r#".SH "EXIT STATUS"
0 when the recording was analysed, whatever it holds; 1 when it cannot be read.
.SH "SEE ALSO"
.BR bilbycast\-controlplane (8)
"#;

const CONTROLPLANE: &str = r#".SH FILES
.TP
.I /var/lib/bilbycast/config.json
The configuration of the packaged service. It is rewritten at every change through the API.
.TP
.I /var/lib/bilbycast/secrets.json
Infrastructure secrets, encrypted with a key of this machine.
.TP
.I /etc/default/bilbycast\-controlplane
Options of the packaged service.
.SH "EXIT STATUS"
0 after SIGTERM or SIGINT; 1 when it cannot serve. Flows run on in either case.
.SH "SEE ALSO"
.BR bilbycast\-dataplane (8),
.BR systemd.socket (5)
"#;

const DATAPLANE: &str = r#".SH FILES
.TP
.I /run/bilbycast/dataplane.sock
Control socket of the packaged service. It obeys its own user and root.
.TP
.I /run/bilbycast/counters.shm
Counters, history and events, to be mapped read\-only.
.TP
.I /etc/default/bilbycast\-dataplane
Options of the packaged service.
.SH "EXIT STATUS"
0 after SIGTERM or SIGINT; 1 when it cannot run. With \fB\-\-check\fR: 0 when nothing is wrong, 1 after warnings, 2 after failures.
.SH "SEE ALSO"
.BR bilbycast\-controlplane (8),
.BR bilbycast\-analyze (1)
"#;
