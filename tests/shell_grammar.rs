//! The option grammars of shells and interpreters against the real ones.
//!
//! Each is started with many command lines, with a command on stdin. Whether it executed that command is what tetherd
//! must have said from the command line alone. Where it refuses a command line and ends without reading, there is
//! nothing to be right about.

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

/// What comes in on a shell's stdin; only executing it prints the word on a line of its own.
const COMMAND: &str = "echo commandxran\n";

/// Command lines that are tried on every shell. `F` stands for a script that does nothing, `R` and `E` for empty files.
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
    "//dev/./stdin",
    "/proc/self/fd/../fd/0",
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
        "E" => file("E"),
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
fn observe(program: &[String], arguments: &[String], directory: &Path, command: &[u8]) -> Observed {
    let (read, write) = nix::unistd::pipe().unwrap();
    let kept = read.try_clone().unwrap();
    File::from(write).write_all(command).unwrap();
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
    let read = rustix::io::ioctl_fionread(&kept).unwrap() < command.len() as u64;
    // busybox says so, and yet ends with 0.
    let complained = !status.success() || said.contains("illegal option");
    // A shell's -v repeats the command.
    let printed = |line: &str| line.trim_end().ends_with("commandxran") && !line.contains("echo");
    Observed { executed: said.lines().any(printed), read, refused: complained && !read, said }
}

/// Tries every form on one program, which may be an applet of another (`busybox ash`). `over`: where tetherd says that
/// commands are read and this one reads none, because another with the same grammar does.
fn hold(program: &[&str], over: &[&str], forms: &[&str], command: &str) {
    for tool in [program[0], "setsid"] {
        if which(tool).is_none() {
            return common::skip(tool);
        }
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("F"), "true\n").unwrap();
    for empty in ["R", "E"] {
        std::fs::write(directory.path().join(empty), "").unwrap();
    }
    let mut program: Vec<String> = program.iter().map(|word| (*word).to_owned()).collect();
    let path = which(&program[0]).unwrap();
    let executable = path.canonicalize().unwrap();
    program[0] = path.to_string_lossy().into_owned();

    let catalog = Catalog::new(&[], &[], &[]);
    let mut wrong = Vec::new();
    let mut executed = 0;
    for form in forms {
        let arguments = line(form, directory.path());
        let argv = program.iter().chain(&arguments).map(|word| word.clone().into_bytes()).collect::<Vec<_>>();
        let told = catalog.identify(executable.as_os_str().as_encoded_bytes(), b"", &argv).reads_commands();
        let observed = observe(&program, &arguments, directory.path(), command.as_bytes());
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
    assert!(executed > 3, "{program:?} executed only {executed} times: the test observes nothing");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

macro_rules! shells {
    ($($name:ident: $program:expr, $over:expr;)*) => {
        $(#[test]
        fn $name() {
            hold(&$program, &$over, EVERYWHERE, COMMAND);
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

macro_rules! interpreters {
    ($($name:ident: $program:expr, $over:expr, $command:expr, $forms:expr;)*) => {
        $(#[test]
        fn $name() {
            hold(&$program, &$over, &$forms, $command);
        })*
    };
}

interpreters! {
    python: ["python3"], [], "print('commandx'+'ran')\n", [
        "", "-", "-i", "-u", "-u -", "-c pass", "-uc pass", "-cpass", "-m this", "-W ignore", "-Wignore", "-W ignore F", "-X dev",
        "-Xdev", "-X dev -c pass", "E", "-i E", "- a", "-E", "-s", "-S", "-I", "-q", "-v", "-V", "-h", "--version", "--help", "-O", "-b", "-d",
        "--", "-- E", "/dev/stdin", "-u /dev/fd/0", "-x", "-B -s", "-", "--check-hash-based-pycs always", "--check-hash-based-pycs always E", "-ic pass", "-u -c pass",
    ];
    perl: ["perl"], [], "print 'commandx'.'ran', qq{\\n};\n", [
        "", "-", "-w", "-W", "-e 1", "-we 1", "-E 1", "-le 1", "E", "-w E", "-n", "-p", "-c", "-v", "-V", "-h", "-t", "-T", "-U", "-u",
        "-x", "-s", "-S", "-i", "-l", "-a", "-0", "-0777", "-C", "-CS", "-d", "-D", "-I /tmp", "-I/tmp", "-I /tmp E", "-Mstrict", "-M strict", "-mstrict", "-f", "-F:", "-X", "--", "-- E", "- a", "/dev/stdin", "-w -",
        "-MIO::Socket -e 1", "-Mstrict E", "-i.bak", "-ne 1",
    ];
    ruby: ["ruby"], [], "puts 'commandx'+'ran'\n", [
        "", "-", "-w", "-e 1", "-we 1", "E", "-w E", "-n", "-v", "-W", "-W0", "-W:no-deprecated", "-r set", "-rset", "-rset -e 1", "-rset E", "-I /tmp", "-I/tmp", "-I /tmp E", "-C /tmp", "-C/tmp", "-X /tmp", "-E utf-8", "-Eutf-8", "-E utf-8 E", "-h", "--version", "--help", "-x", "-s", "-S", "-d", "-c", "-y",
        "-a -n", "-l", "-p", "-U", "-Ku", "-T", "-0", "-i", "-F:", "--", "-- E", "- a", "/dev/stdin", "--disable=gems", "--disable gems", "--disable gems E", "--encoding utf-8", "--encoding utf-8 E", "--external-encoding utf-8", "--yjit", "--verbose", "--jit",
        "--copyright", "--dump=insns", "-y -",
    ];
    php: ["php"], [], "<?php echo 'commandx'.'ran'.chr(10);\n", [
        "", "-", "-n", "-q", "-r 1;", "-nr 1;", "-f E", "-fE", "E", "-n E", "-d x=1", "-dx=1", "-d x=1 E", "-dx=1 -r 1;", "-c /tmp", "-c /tmp E", "-v", "-i", "-m", "-h", "-l", "-w", "-s", "-e", "-C", "-H", "-B 1;", "-R 1;", "-E 1;", "-F E", "-z x", "-z x E", "--", "-- a", "-- E", "- a",
        "/dev/stdin", "--ini", "--rf strlen", "--run 1;", "--file E", "--define x=1", "--define x=1 E", "--php-ini /tmp", "--version", "--no-php-ini", "--syntax-check", "-f /dev/stdin", "-a",
    ];
    node: ["node"], [], "console.log('commandx'+'ran')\n", [
        "", "-", "-e 1", "-p 1", "-pe 1", "--eval 1", "--eval=1", "--print 1", "--print=1", "E", "-i", "--interactive", "-r fs", "--require fs", "--require=fs", "-r fs E", "--require fs E", "-v", "-h", "--version", "--help", "-c E", "--check E", "--check", "--no-warnings", "--no-warnings E", "--no-warnings -", "--trace-uncaught", "--", "-- E",
        "- a", "/dev/stdin", "--input-type=module", "--input-type module", "--inspect=0", "-C x", "-C x E", "--conditions x", "--conditions x E", "--title x", "--title x E", "--import fs", "--import=fs", "--v8-options", "--stack-size=2000", "--icu-data-dir /tmp", "--icu-data-dir /tmp E", "-pi 1",
    ];
    lua: ["lua5.4"], [], "print('commandx'..'ran')\n", [
        "", "-", "-i", "-v", "-e x=1", "-ex=1", "-e x=1 -", "-l string", "-lstring", "-l string E", "-lstring E", "-E", "-W", "E", "-E E", "-i E", "--", "-- E", "- a", "/dev/stdin", "-v -", "-v -i", "-i -e x=1", "-E -e x=1", "-v E", "-W -i",
    ];
    tcl: ["tclsh"], [], "puts [join {commandx ran} {}]\n", [
        "", "E", "-encoding utf-8 E", "-encoding utf-8", "/dev/stdin", "-", "--", "E a",
    ];
}
