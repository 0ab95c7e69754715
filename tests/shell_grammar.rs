//! The option grammars of shells against the real shells.
//!
//! Each shell is started with many command lines, with a command on stdin. Whether it executed that command is what
//! tetherd must have said from the command line alone. Where a shell refuses a command line and ends without reading,
//! there is nothing to be right about.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tetherd::engine::program::Catalog;

use common::{wait_at_most, which};

/// How long one shell may take; it gets no more input after its command, so it ends by itself.
const CASE_DEADLINE: Duration = Duration::from_secs(20);

/// What comes in on stdin; only executing it prints the word on a line of its own.
const COMMAND: &[u8] = b"echo commandxran\n";

/// Command lines that are tried on every shell. `F` stands for a script that does nothing, `R` for an empty file.
const EVERYWHERE: &[&str] = &[
    "",
    "-i",
    "-s",
    "-l",
    "-",
    "--",
    "-e",
    "-ex",
    "-is",
    "-si",
    "-li",
    "-il",
    "-s a b",
    "-s F",
    "-is a",
    "-s -- a",
    "-c true",
    "-c true a b",
    "-ic true",
    "-ci true",
    "-lc true",
    "-sc true",
    "-cs true",
    "-s -c true",
    "-c -s true",
    "-c -- true",
    "-c - true",
    "-c -e true",
    "-ec true",
    "-ce true",
    "-i -c true",
    "F",
    "F a",
    "F -s",
    "F -c true",
    "-- F",
    "- F",
    "-e F",
    "-i F",
    "-l F",
    "-x -- F",
    "-- -s",
    "-e -- F a",
    "-e -",
    "-e --",
    "-x -v",
    "-v",
    "-x",
    "-f",
    "-u",
    "-a",
    "-b",
    "-h",
    "-m",
    "-n",
    "-C",
    "-r",
    "-p",
    "-E",
    "-T",
    "-B",
    "-H",
    "-k",
    "-t",
    "-P",
    "-D",
    "-V",
    "-g",
    "-d",
    "-q",
    "-w",
    "-y",
    "-L",
    "-X",
    "-F",
    "-A",
    "-K",
    "-O",
    "-o",
    "+o",
    "-I",
    "+e",
    "+e F",
    "+x -e F",
    "-e +e",
    "+s",
    "+s F",
    "+c true",
    "+i",
    "+l",
    "+",
    "+ F",
    "+- F",
    "+m",
    "-o errexit",
    "-o errexit F",
    "-oe errexit",
    "-eo errexit",
    "-eo errexit F",
    "-euo errexit",
    "-oerrexit",
    "-oerrexit F",
    "-oo errexit nounset",
    "-oo errexit nounset F",
    "-o errexit -c true",
    "-oc errexit true",
    "-co errexit true",
    "+o nounset",
    "+o nounset F",
    "+o errexit -s F",
    "-io errexit",
    "-so errexit F",
    "-o posix",
    "-o bogus",
    "-z",
    "--bogus",
    "--version",
    "--help",
    "--login",
    "--posix",
    "--norc",
    "--noprofile",
    "--norc F",
    "--rcfile R",
    "--rcfile R F",
    "--rcfile=R",
    "--rcfile=R F",
    "--init-file R",
    "--init-file R F",
    "--interactive",
    "--verbose",
    "--restricted",
    "--noediting",
    "--nolineediting",
    "--debugger",
    "--dump-strings",
    "--dump-po-strings",
    "--protected",
    "--wordexp",
    "--debug",
    "--pretty-print",
    "--emulate sh",
    "--emulate sh F",
    "--emulate sh -c true",
    "--stdin",
    "--stdin F",
    "--cmdline",
    "--errexit",
    "--errexit F",
    "--norcs",
    "--rcs",
    "--no-rcs",
    "-o stdin",
    "-o stdin F",
    "-ostdin F",
    "-eostdin F",
    "-o shinstdin F",
    "-o SHIN_STDIN F",
    "--shinstdin F",
    "--shin-stdin F",
    "+o noshinstdin F",
    "+o nostdin F",
    "+o stdin F",
    "-o nostdin F",
    "-o interactive",
    "-o interactive F",
    "-o cmdline true",
    "-o stdin -c true",
    "--init true",
    "--init-c true",
    "--rc R",
    "--std F",
    "--cmd true",
    "--command true",
    "--command=true",
    "-rcfile R",
    "-rcfile R F",
    "-norc",
    "-noprofile",
    "-login",
    "-posix",
    "-init-file R F",
    "-version",
    "-help",
    "--noprofile --norc -i",
    "-O extglob",
    "-O extglob F",
    "+O extglob",
    "+O extglob F",
    "-iO extglob",
    "-Oo extglob errexit F",
    "-T s",
    "-T s F",
    "-/dev/stdin",
    "/dev/stdin",
    "/dev/fd/0",
    "/proc/self/fd/0",
    "-e /dev/stdin",
    "/dev/stdin a",
    "-c /dev/stdin",
    "--profile=R",
    "--profile R F",
    "--rcs F",
    "--no-config",
    "-N",
    "-N F",
    "-G",
    "-S R",
    "-R",
    "-P F",
    "-f F",
    "-t F",
    "-b F",
    "-b",
    "-C true",
    "-C true F",
    "-C true -c true",
    "--init-command true",
    "--init-command=true F",
    "-d 0",
    "-D 0",
    "-d0",
    "-o R",
    "--features x",
    "-s -",
    "-c",
    "-o",
    "-l -i -s",
    "-xsi a",
    "-ixs -- a",
    "-- ",
    "-e -x -s -- F",
];

fn line(form: &str, directory: &Path) -> Vec<String> {
    let file = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let word = |word: &str| match word {
        "F" => file("F"),
        "R" => file("R"),
        _ => word.replace("=R", &format!("={}", file("R"))),
    };
    form.split_whitespace().map(word).collect()
}

/// What a shell did.
struct Observed {
    executed: bool,
    /// It read from stdin, with or without executing (`-n`).
    read: bool,
    /// It complained and read nothing.
    refused: bool,
    said: String,
}

/// Runs a shell in a session of its own, so that none finds a terminal.
fn observe(program: &[String], arguments: &[String], directory: &Path) -> Observed {
    let (read, write) = nix::unistd::pipe().unwrap();
    let kept = read.try_clone().unwrap();
    File::from(write).write_all(COMMAND).unwrap();
    let mut output = tempfile::tempfile().unwrap();
    let mut child = Command::new(which("setsid").unwrap())
        .args(program)
        .args(arguments)
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C.UTF-8"), ("TERM", "dumb")])
        .env("HOME", directory)
        .current_dir(directory)
        .stdin(Stdio::from(read))
        .stdout(Stdio::from(output.try_clone().unwrap()))
        .stderr(Stdio::from(output.try_clone().unwrap()))
        .spawn()
        .unwrap();
    let status = wait_at_most(CASE_DEADLINE, || child.try_wait().unwrap()).unwrap_or_else(|| {
        // setsid made it the leader of its group.
        let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        child.wait().unwrap();
        panic!("{program:?} {arguments:?} did not end")
    });
    let mut said = Vec::new();
    output.rewind().unwrap();
    output.read_to_end(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    let read = rustix::io::ioctl_fionread(&kept).unwrap() < COMMAND.len() as u64;
    // busybox says so, and yet ends with 0.
    let complained = !status.success() || said.contains("illegal option");
    let printed = |line: &str| line.trim_end().ends_with("commandxran") && !line.contains("echo");
    Observed { executed: said.lines().any(printed), read, refused: complained && !read, said }
}

/// Tries every command line on one shell; `program` may be an applet of another (`busybox ash`). `over`: where tetherd
/// says that commands are read and this shell reads none, because another with the same grammar does.
fn hold(program: &[&str], over: &[&str]) {
    for tool in [program[0], "setsid"] {
        if which(tool).is_none() {
            return common::skip(tool);
        }
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("F"), "true\n").unwrap();
    std::fs::write(directory.path().join("R"), "").unwrap();
    let mut program: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
    let path = which(&program[0]).unwrap();
    let executable = path.canonicalize().unwrap();
    program[0] = path.to_string_lossy().into_owned();

    let catalog = Catalog::new(&[], &[], &[]);
    let mut wrong = Vec::new();
    let mut executed = 0;
    for form in EVERYWHERE {
        let arguments = line(form, directory.path());
        let argv = program.iter().chain(&arguments).map(|word| word.clone().into_bytes()).collect::<Vec<_>>();
        let told = catalog.identify(executable.as_os_str().as_encoded_bytes(), b"", &argv).reads_commands();
        let observed = observe(&program, &arguments, directory.path());
        executed += usize::from(observed.executed);
        let right = match told {
            true => observed.read || observed.refused || over.contains(form),
            false => !observed.executed,
        };
        if !right || observed.executed && over.contains(form) {
            let Observed { executed, read, said, .. } = observed;
            let saw = format!("executed {executed}, read {read}, said {said:?}");
            wrong.push(format!("{} {form:?}: told {told}; {saw}", program.join(" ")));
        }
    }
    assert!(executed > 10, "{program:?} executed only {executed} times: the test observes nothing");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

macro_rules! shells {
    ($($name:ident: $program:expr, $over:expr;)*) => {
        $(#[test]
        fn $name() {
            hold(&$program, &$over);
        })*
    };
}

shells! {
    sh: ["/bin/sh"], ["+s F"];
    dash: ["dash"], ["+s F"];
    bash: ["bash"], [];
    zsh: ["zsh"], [];
    ksh93: ["ksh93"], [];
    mksh: ["mksh"], [];
    lksh: ["lksh"], [];
    busybox_sh: ["busybox", "sh"], ["-sc true", "-cs true", "-s -c true", "-c -s true"];
    busybox_ash: ["busybox", "ash"], ["-sc true", "-cs true", "-s -c true", "-c -s true"];
    fish: ["fish"], [];
    yash: ["yash"], [];
    posh: ["posh"], [];
    tcsh: ["tcsh"], ["--version", "--help"];
    csh: ["bsd-csh"], [];
    rc: ["rc"], ["-cs true", "-c -s true"];
}
