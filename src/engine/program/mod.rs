//! What program a process really runs.
//!
//! Owns: reading an executable's path and argv: multi-call programs, the dynamic loader, launchers, shells and their
//! option grammars, and the list of watched names. Must not own: fds, verdicts. The executable decides; `argv[0]`, which
//! anybody may choose, decides only where the executable is many programs in one.

pub mod catalog;
pub mod in_force;
pub mod interpreter;
pub mod launcher;
pub mod shell;

use crate::engine::program::catalog::{Catalog as Names, Group};
use crate::engine::program::launcher::Unwrapped;
use crate::engine::program::shell::ShellFamily;
use crate::model::look::{base_name, is_loader};

/// How many wrappers are looked through.
const DEPTH_MAX: usize = 8;
/// Programs that hold many: the applet is `argv[0]`'s name, or the first argument.
const MULTICALL: [&str; 6] = ["busybox", "toybox", "coreutils", "sbase-box", "ubase-box", "uutils"];

/// A program as it matters for a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name: `sh`, `id`.
    pub name: String,
    /// Why it is watched; `None`: it is not.
    pub group: Option<Group>,
    /// It is a shell.
    pub shell: Option<Shell>,
    /// An interpreter that was given no script: it reads its program from stdin.
    pub interpreter_reads_stdin: bool,
    /// Wrappers that were looked through, outermost first.
    pub launchers: Vec<String>,
    /// The multi-call program that it is an applet of.
    pub multicall: Option<String>,
    /// It was recognised by its file, not by its name.
    pub recognised: bool,
    /// What else there is to say about its name, in sentences.
    pub evidence: Vec<String>,
}

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shell {
    /// Whose option grammar.
    pub family: ShellFamily,
    /// It reads its commands from stdin: no `-c`, no script, or `-s`.
    pub reads_stdin: bool,
}

impl Program {
    /// Whether it is a shell or a common command.
    pub fn is_watched(&self) -> bool {
        self.group.is_some()
    }

    /// Whether it may execute a shell in its own place: another shell, or an interpreter.
    pub fn may_become_a_shell(&self) -> bool {
        self.shell.is_some() || self.group == Some(Group::Interpreter)
    }

    /// Whether what comes in on stdin is executed.
    pub fn reads_commands(&self) -> bool {
        self.interpreter_reads_stdin || self.shell.is_some_and(|shell| shell.reads_stdin)
    }
}

/// The watched names, and what is configured besides.
#[derive(Clone, Debug)]
pub struct Catalog {
    names: Names,
}

impl Catalog {
    /// The shipped names, with those added and without those ignored.
    pub fn new(commands: &[String], shells: &[String], ignore: &[String]) -> Self {
        Self { names: Names::new(commands, shells, ignore) }
    }

    /// Whether a name stands for discovery or transfer.
    pub fn is_discovery(name: &str) -> bool {
        catalog::is_discovery(name)
    }

    /// Whether what calls itself so right after its exec may be, or start, a shell or a command of discovery or transfer.
    /// The kernel names a process after the file that it executes, and cuts the name at 15 bytes (`TASK_COMM_LEN`).
    pub fn may_be_command(&self, comm: &[u8]) -> bool {
        let name = text(comm);
        comm.len() >= 15
            || Self::is_discovery(&name)
            || self.names.shell_family(&name).is_some()
            || launcher::is_launcher(&name)
            || is_multicall(&name)
            || is_loader(comm)
    }

    /// Whether what calls itself so may wait for commands on its stdin, or become something that does: all but commands
    /// that are known to do something else.
    pub fn may_wait(&self, comm: &[u8]) -> bool {
        let name = text(comm);
        let plain = matches!(
            self.names.group(&name),
            Some(Group::Recon | Group::FileReader | Group::CoreUtility | Group::NetworkTool)
        );
        let harmless = plain && !launcher::is_launcher(&name) && !is_multicall(&name);
        comm.len() >= 15 || !harmless || self.names.shell_family(&name).is_some()
    }

    /// Says what runs. Never fails: what cannot be told is the executable itself.
    pub fn identify(&self, exe_path: &[u8], comm: &[u8], argv: &[Vec<u8>]) -> Program {
        let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
        let exe = text(base_name(exe_path));
        let name = match (exe.is_empty(), argv.first()) {
            (false, _) => exe,
            (true, Some(arg0)) => text(arg0_name(arg0)),
            (true, None) => text(comm),
        };
        let mut found = self.unwrap(name, &argv, Vec::new(), None);
        found.launchers.dedup();
        found
    }

    /// Says what runs where the program's file is known to be `name`'s, whatever it is called. A shell that no list has
    /// is one of which only "no operand" is known.
    pub fn identify_as(&self, name: &str, exe_path: &[u8], argv: &[Vec<u8>]) -> Program {
        let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
        let exe = text(base_name(exe_path));
        let operand = launcher::loader_operand(&argv).filter(|_| is_loader(exe.as_bytes()));
        let argv = operand.unwrap_or(&argv);
        let launchers = operand.map(|_| exe).into_iter().collect();
        let mut found = self.unwrap(name.to_owned(), argv, launchers, None);
        found.launchers.dedup();
        if found.name == name && found.shell.is_none() && !is_multicall(name) {
            let family = ShellFamily::Other;
            found.shell = Some(Shell { family, reads_stdin: shell::reads_stdin(family, argv) });
            found.group = Some(Group::Shell);
        }
        found
    }

    /// Whether a shell is called this.
    pub fn is_shell(&self, name: &str) -> bool {
        self.names.shell_family(name).is_some()
    }

    fn unwrap(
        &self,
        name: String,
        argv: &[&[u8]],
        mut launchers: Vec<String>,
        multicall: Option<String>,
    ) -> Program {
        if launchers.len() >= DEPTH_MAX {
            return self.plain(name, argv, launchers, multicall);
        }
        if is_loader(name.as_bytes())
            && let Some(rest) = launcher::loader_operand(argv)
        {
            let inner = text(base_name(rest.first().copied().unwrap_or_default()));
            launchers.push(name);
            return self.unwrap(inner, rest, launchers, multicall);
        }
        if multicall.is_none() && is_multicall(&name) {
            let own = argv.first().map(|arg0| text(arg0_name(arg0))).unwrap_or_default();
            if !is_multicall(&own) && !own.is_empty() && self.names.knows_applet(&own) {
                return self.unwrap(own, argv, launchers, Some(name));
            }
            let Some(applet) = argv.get(1).filter(|arg| !arg.starts_with(b"-")) else {
                return self.plain(name, argv, launchers, multicall);
            };
            let applet = text(base_name(applet));
            return self.unwrap(applet, argv.get(1..).unwrap_or_default(), launchers, Some(name));
        }
        match launcher::unwrap(&name, argv) {
            Unwrapped::Command(rest) => {
                let inner = text(arg0_name(rest.first().copied().unwrap_or_default()));
                launchers.push(name);
                // What a launcher starts may again be many programs in one.
                self.unwrap(inner, rest, launchers, None)
            }
            Unwrapped::ShellOnStdin => {
                launchers.push(name);
                self.unwrap("sh".into(), &[b"sh"], launchers, multicall)
            }
            Unwrapped::ShellCommand => {
                launchers.push(name);
                self.unwrap("sh".into(), &[b"sh", b"-c", b""], launchers, multicall)
            }
            Unwrapped::Itself => self.plain(name, argv, launchers, multicall),
        }
    }

    fn plain(
        &self,
        name: String,
        argv: &[&[u8]],
        launchers: Vec<String>,
        multicall: Option<String>,
    ) -> Program {
        let group = self.names.group(&name);
        let family = self.names.shell_family(&name);
        let shell = family.map(|family| Shell { family, reads_stdin: shell::reads_stdin(family, argv) });
        let executes = matches!(group, Some(Group::Interpreter | Group::Shell));
        let interpreter_reads_stdin = executes && shell.is_none() && interpreter::reads_stdin(&name, argv);
        Program {
            name,
            group,
            shell,
            interpreter_reads_stdin,
            launchers,
            multicall,
            recognised: false,
            evidence: Vec::new(),
        }
    }
}

/// The name in `argv[0]`, without the dash of a login shell.
fn arg0_name(arg0: &[u8]) -> &[u8] {
    let name = base_name(arg0);
    name.strip_prefix(b"-").filter(|rest| !rest.is_empty()).unwrap_or(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..255).unwrap_or(bytes)).into_owned()
}

/// The program that the dynamic loader was given to run; `None` where the program is no loader.
pub fn loader_operand<'a>(exe_path: &[u8], argv: &'a [Vec<u8>]) -> Option<&'a [u8]> {
    if !is_loader(base_name(exe_path)) {
        return None;
    }
    let words: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
    let rest = launcher::loader_operand(&words)?.len();
    argv.get(argv.len().checked_sub(rest)?).map(Vec::as_slice)
}

/// Whether a program of this name is many in one.
pub fn is_multicall(name: &str) -> bool {
    let stem = name.split(['.', '-']).next().unwrap_or(name);
    MULTICALL.contains(&name) || MULTICALL.contains(&stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identify(exe: &str, argv: &[&str]) -> Program {
        let argv: Vec<Vec<u8>> = argv.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        Catalog::new(&[], &[], &[]).identify(exe.as_bytes(), b"comm", &argv)
    }

    #[test]
    fn the_executable_decides() {
        assert_eq!(identify("/usr/bin/dash", &["apache", "-k"]).name, "dash");
        assert_eq!(identify("/usr/sbin/nginx", &["sh", "-i"]).group, None);
        assert_eq!(identify("", &["-bash"]).name, "bash");
        assert_eq!(identify("", &[]).name, "comm");
    }

    #[test]
    fn many_in_one() {
        for (argv, name, reads) in [
            (&["sh"][..], "sh", true),
            (&["busybox", "sh", "-i"], "sh", true),
            (&["/bin/busybox", "ash", "-c", "id"], "ash", false),
            (&["id"], "id", false),
            (&["-sh"], "sh", true),
            (&["busybox", "timeout", "5", "sh"], "sh", true),
            (&["renamed", "sh"], "sh", true),
        ] {
            let program = identify("/bin/busybox", argv);
            assert_eq!((program.name.as_str(), program.reads_commands()), (name, reads), "{argv:?}");
        }
        assert_eq!(identify("/bin/busybox.static", &["cat"]).multicall.as_deref(), Some("busybox.static"));
        assert_eq!(identify("/bin/busybox", &["busybox", "--list"]).shell, None);
    }

    #[test]
    fn launchers_pass_stdio_on() {
        for (argv, name, reads) in [
            (&["env", "-i", "A=b", "bash", "-i"][..], "bash", true),
            (&["env", "-u", "X", "id"], "id", false),
            (&["timeout", "-k", "3", "5", "sh"], "sh", true),
            (&["nice", "-n", "5", "setsid", "sh", "-c", "id"], "sh", false),
            (&["nohup", "sh"], "sh", true),
            (&["stdbuf", "-o0", "sh", "-i"], "sh", true),
            (&["chroot", "--userspec=1:1", "/mnt", "sh"], "sh", true),
            (&["chroot", "/mnt"], "sh", true),
            (&["nsenter", "-t", "1", "-m", "--", "sh"], "sh", true),
            (&["unshare", "-n", "bash"], "bash", true),
            (&["su", "nobody", "-s", "/bin/sh"], "sh", true),
            (&["su", "-c", "id", "nobody"], "sh", false),
            (&["sudo", "-u", "root", "id"], "id", false),
            (&["sudo", "-s"], "sh", true),
            (&["script", "-qc", "id", "/dev/null"], "sh", false),
            (&["script", "/dev/null"], "sh", true),
        ] {
            let program = identify(&format!("/usr/bin/{}", argv[0]), argv);
            assert_eq!((program.name.as_str(), program.reads_commands()), (name, reads), "{argv:?}");
            assert_eq!(program.launchers.first().map(String::as_str), Some(argv[0]));
        }
        assert_eq!(identify("/usr/bin/env", &["env"]).name, "env");
    }

    #[test]
    fn through_the_loader() {
        let program =
            identify("/usr/lib/ld-linux-x86-64.so.2", &["ld", "--library-path", "/x", "/bin/bash", "-i"]);
        assert!(program.name == "bash" && program.reads_commands());
        assert!(identify("/lib/ld-musl-x86_64.so.1", &["ld", "/tmp/sh"]).reads_commands());
    }

    #[test]
    fn configured_names() {
        let catalog = Catalog::new(&["frob".into()], &["mysh".into()], &["cat".into()]);
        let id = |exe: &str| catalog.identify(exe.as_bytes(), b"", &[exe.as_bytes().to_vec()]);
        assert!(id("/x/frob").is_watched() && !id("/bin/cat").is_watched());
        assert!(id("/x/mysh").reads_commands());
    }

    #[test]
    fn interpreters() {
        assert!(identify("/usr/bin/python3.11", &["python3"]).interpreter_reads_stdin);
        assert!(identify("/usr/bin/python3.11", &["python3", "-u", "-"]).interpreter_reads_stdin);
        assert!(!identify("/usr/bin/python3.11", &["python3", "-c", "x"]).interpreter_reads_stdin);
        assert!(!identify("/usr/bin/perl", &["perl", "-e", "1"]).interpreter_reads_stdin);
        assert!(!identify("/usr/bin/perl", &["perl", "x.pl"]).interpreter_reads_stdin);
    }

    proptest! {
        #[test]
        fn any_argv_is_safe(
            exe in "(/bin/)?(env|busybox|sh|sudo|ld.so|su|timeout|script|python3|[a-z]{0,4})",
            argv in proptest::collection::vec("(env|sh|busybox|-[a-z-]{0,3}|--|[ -~]{0,5})", 0..40)
        ) {
            let argv: Vec<Vec<u8>> = argv.into_iter().map(String::into_bytes).collect();
            let program = Catalog::new(&[], &[], &[]).identify(exe.as_bytes(), b"x", &argv);
            prop_assert!(program.launchers.len() <= DEPTH_MAX);
        }

        #[test]
        fn any_bytes_are_safe(argv in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9)) {
            Catalog::new(&[], &[], &[]).identify(b"/bin/sh", b"sh", &argv);
        }
    }
}
