//! What a process that waits in execve(2) is about to run.
//!
//! Owns: the text of `/proc/TID/syscall` (proc_pid_syscall(5)) and reading argv from the process's memory before the
//! new program replaces it. Must not own: what is behind the file. Everything is bounded, and nothing is read that
//! might have to be fetched first: a page that is not in memory (`/proc/TID/pagemap`) could come from swap, from a
//! network filesystem that hangs, or from a userfaultfd handler that never answers.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::host::proc_dir::ProcDir;
use crate::model::ids::Pid;
use crate::model::look::{ARGS_BYTES_MAX, ARGS_MAX, Args};
use crate::sys::vm;

/// The smallest page there is; steps of this size never cross into a page that was not asked about.
const PAGE: u64 = 4096;
/// The longest path (PATH_MAX).
const PATH_BYTES_MAX: usize = 4096;
/// How often `/proc/TID/syscall` is read while it says `running`: the thread has queued its event and not slept yet. A
/// thread that nobody holds seldom sleeps at all, and its arguments can be read after the exec.
const TRIES: u32 = 50;
const TRIES_UNHELD: u32 = 2;
/// After so many the thread may be waiting for this very processor, which a real-time thread does not give up by
/// yielding.
const YIELDS: u32 = 5;
/// How long the processor is given up then.
const PAUSE: Duration = Duration::from_micros(50);

/// Where the arguments of execve or execveat are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Address of the path.
    pub path: u64,
    /// Address of argv.
    pub argv: u64,
    /// Bytes of a pointer: 8, or 4 for a 32-bit process.
    pub pointer: usize,
}

/// What could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecArgs {
    /// The path as it was given; empty if unread.
    pub path: Vec<u8>,
    /// argv; `None` if unread.
    pub args: Option<Args>,
}

/// Reads the text of `syscall`; `None` where the thread is in no call of the execve family.
pub fn parse(text: &[u8]) -> Option<Call> {
    let mut fields = text.split(|b| b.is_ascii_whitespace()).filter(|field| !field.is_empty());
    let number: u32 = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let mut arguments = [0u64; 4];
    for argument in &mut arguments {
        let field = std::str::from_utf8(fields.next()?).ok()?;
        *argument = u64::from_str_radix(field.strip_prefix("0x")?, 16).ok()?;
    }
    let (at, pointer) = call(number)?;
    let mask = if pointer == 4 { u64::from(u32::MAX) } else { u64::MAX };
    Some(Call { path: arguments.get(at)? & mask, argv: arguments.get(at + 1)? & mask, pointer })
}

/// In which argument the path is, and how long pointers are. A 32-bit call's numbers mean other calls in 64 bits, but
/// those never open a program for execution.
fn call(number: u32) -> Option<(usize, usize)> {
    #[cfg(target_arch = "x86_64")]
    const EXECVE: [(u32, usize, usize); 6] = [
        (59, 0, 8),
        (322, 1, 8),
        // i386
        (11, 0, 4),
        (358, 1, 4),
        // x32: 520 and 545 with __X32_SYSCALL_BIT
        (0x4000_0208, 0, 4),
        (0x4000_0221, 1, 4),
    ];
    // The generic table, and 32-bit ARM.
    #[cfg(not(target_arch = "x86_64"))]
    const EXECVE: [(u32, usize, usize); 4] = [(221, 0, 8), (281, 1, 8), (11, 0, 4), (387, 1, 4)];
    EXECVE.iter().find(|(known, ..)| *known == number).map(|(_, at, pointer)| (*at, *pointer))
}

/// Whether a thread is in execve, or on a processor, where it cannot be told.
pub fn may_execute(thread: Pid) -> bool {
    let text = ProcDir::open(thread).and_then(|dir| dir.read(c"syscall", 256));
    text.is_ok_and(|(text, _)| text.starts_with(b"running") || parse(&text).is_some())
}

/// Reads what the thread behind `dir` is about to run; `held`: it waits until it is let go.
pub fn read(dir: &ProcDir, held: bool) -> ExecArgs {
    let tries = if held { TRIES } else { TRIES_UNHELD };
    let Some(call) = current_call(dir, tries) else { return ExecArgs::default() };
    let Ok(mut memory) = Memory::of(dir) else { return ExecArgs::default() };
    let path = memory.text(call.path, PATH_BYTES_MAX).map(|(path, _)| path).unwrap_or_default();
    ExecArgs { path, args: memory.argv(call) }
}

fn current_call(dir: &ProcDir, tries: u32) -> Option<Call> {
    for tried in 0..tries {
        let (text, _) = dir.read(c"syscall", 256).ok()?;
        if !text.starts_with(b"running") {
            return parse(&text);
        }
        if tried < YIELDS {
            std::thread::yield_now();
        } else {
            std::thread::sleep(PAUSE);
        }
    }
    None
}

/// The memory of a process, as far as it is in memory.
struct Memory {
    pid: Pid,
    pagemap: OwnedFd,
    /// The last page that was found to be there.
    present: Option<u64>,
}

impl Memory {
    fn of(dir: &ProcDir) -> io::Result<Self> {
        let pagemap = dir.open_file(c"pagemap")?;
        Ok(Self { pid: dir.pid(), pagemap, present: None })
    }

    fn is_present(&mut self, address: u64) -> bool {
        let size = u64::try_from(rustix::param::page_size()).unwrap_or(PAGE).max(PAGE);
        let page = address / size;
        if self.present == Some(page) {
            return true;
        }
        let mut entry = [0u8; 8];
        let Some(offset) = page.checked_mul(8) else { return false };
        // Bit 63: present; bit 62: swapped (Documentation/admin-guide/mm/pagemap.rst).
        let there = rustix::io::pread(&self.pagemap, &mut entry, offset).is_ok_and(|n| n == 8)
            && u64::from_ne_bytes(entry) >> 63 == 1;
        if there {
            self.present = Some(page);
        }
        there
    }

    /// Fills the buffer, page by page; how much of it.
    fn fill(&mut self, address: u64, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let Some(at) = address.checked_add(filled as u64) else { break };
            let to_page_end = usize::try_from(PAGE - at % PAGE).unwrap_or(0);
            let length = rest.len().min(to_page_end);
            let Some(part) = rest.get_mut(..length) else { break };
            if !self.is_present(at) || vm::read(self.pid, at, part).ok() != Some(length) {
                break;
            }
            filled += length;
        }
        filled
    }

    /// A text that ends in NUL, at most `most` bytes of it; the flag says that it was cut.
    fn text(&mut self, address: u64, most: usize) -> Option<(Vec<u8>, bool)> {
        let mut text = Vec::new();
        let mut part = [0u8; 256];
        while text.len() < most {
            let at = address.checked_add(text.len() as u64)?;
            let room = part.len().min(most - text.len());
            let filled = self.fill(at, part.get_mut(..room)?);
            let part = part.get(..filled)?;
            if let Some(end) = part.iter().position(|&b| b == 0) {
                text.extend_from_slice(part.get(..end)?);
                return Some((text, false));
            }
            if filled == 0 {
                return None;
            }
            text.extend_from_slice(part);
        }
        Some((text, true))
    }

    fn argv(&mut self, call: Call) -> Option<Args> {
        let mut args = Args::default();
        if call.argv == 0 {
            return Some(args);
        }
        let mut room = ARGS_BYTES_MAX;
        for index in 0.. {
            let mut pointer = [0u8; 8];
            let at = call.argv.checked_add((index * call.pointer) as u64)?;
            if self.fill(at, pointer.get_mut(..call.pointer)?) != call.pointer {
                return None;
            }
            // Little-endian on both machines this is written for; a short pointer leaves zeros above.
            let pointer = u64::from_le_bytes(pointer);
            if pointer == 0 {
                break;
            }
            if index >= ARGS_MAX || room == 0 {
                args.truncated = true;
                break;
            }
            let (text, cut) = self.text(pointer, room)?;
            room -= text.len().min(room);
            args.truncated |= cut;
            args.list.push(text);
        }
        Some(args)
    }
}

/// The arguments that the interpreter of a script gets, as `cmdline` will show them: the interpreter, its one option
/// where the script's first line has one, the script's path, the rest of argv (execve(2), interpreter scripts).
pub fn interpreted(first_line: &[u8], path: &[u8], args: &Args) -> Option<Args> {
    let line = first_line.strip_prefix(b"#!")?;
    let line = line.split(|&b| b == b'\n' || b == 0).next()?.trim_ascii();
    let end = line.iter().position(|b| *b == b' ' || *b == b'\t').unwrap_or(line.len());
    let (interpreter, option) = line.split_at(end);
    if interpreter.is_empty() {
        return None;
    }
    let option = option.trim_ascii();
    let mut list = vec![interpreter.to_vec()];
    list.extend((!option.is_empty()).then(|| option.to_vec()));
    list.push(path.to_vec());
    list.extend(args.list.iter().skip(1).cloned());
    Some(Args { list, truncated: args.truncated })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::process::CommandExt;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_text_of_syscall() {
        let call = parse(b"59 0x7f01 0x7f02 0x7f03 0x0 0x0 0x0 0x7ffe 0x7f0f\n");
        assert_eq!(call, Some(Call { path: 0x7f01, argv: 0x7f02, pointer: 8 }));
        let at = parse(b"322 0x3 0x7f01 0x7f02 0x7f03 0x1000 0x0 0x7ffe 0x7f0f\n");
        assert_eq!(at, Some(Call { path: 0x7f01, argv: 0x7f02, pointer: 8 }));
        let short = parse(b"11 0xffffffff08040000 0x8040010 0x0 0x0 0x0 0x0 0x7ffe 0x7f0f\n");
        assert_eq!(short, Some(Call { path: 0x0804_0000, argv: 0x0804_0010, pointer: 4 }));
        for other in
            [&b"running\n"[..], b"-1 0x0 0x0\n", b"0 0x0 0x1 0x2 0x3 0x4 0x5 0x6 0x7\n", b"59 0x1\n", b""]
        {
            assert_eq!(parse(other), None, "{:?}", String::from_utf8_lossy(other));
        }
    }

    /// Our own argv, as if it were about to be executed.
    #[test]
    fn argv_from_memory() {
        let texts: Vec<std::ffi::CString> =
            ["sh", "-c", "", "an argument that is longer than any of the others and is read in one piece"]
                .iter()
                .map(|text| std::ffi::CString::new(*text).unwrap())
                .collect();
        let long = std::ffi::CString::new(vec![b'x'; 3 * ARGS_BYTES_MAX]).unwrap();
        let mut pointers: Vec<u64> = texts.iter().map(|text| text.as_ptr().addr() as u64).collect();
        pointers.push(0);
        let dir = ProcDir::open(Pid(std::process::id())).unwrap();
        let mut memory = Memory::of(&dir).unwrap();
        let call = |pointers: &[u64]| Call { path: 0, argv: pointers.as_ptr().addr() as u64, pointer: 8 };
        let args = memory.argv(call(&pointers)).unwrap();
        let expected: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        assert_eq!((args.list, args.truncated), (expected, false));
        let cut = memory.argv(call(&[long.as_ptr().addr() as u64, pointers[0], 0])).unwrap();
        assert_eq!((cut.list[0].len(), cut.list.len(), cut.truncated), (ARGS_BYTES_MAX, 1, true));
        let many = vec![pointers[0]; ARGS_MAX + 10];
        let many = memory.argv(call(&many)).unwrap();
        assert_eq!((many.list.len(), many.truncated), (ARGS_MAX, true));
        assert_eq!(memory.argv(call(&[4096, 0])), None, "a pointer that leads nowhere");
    }

    #[test]
    fn a_process_that_executes_nothing() {
        let mut child = std::process::Command::new("/bin/sleep").arg("60").arg0("sleep").spawn().unwrap();
        let read = read(&ProcDir::open(Pid(child.id())).unwrap(), true);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(read, ExecArgs::default());
    }

    #[test]
    fn scripts() {
        let argv = |list: &[&str]| Args {
            list: list.iter().map(|a| a.as_bytes().to_vec()).collect(),
            truncated: false,
        };
        let made = |line: &[u8]| interpreted(line, b"./run.sh", &argv(&["run", "a", "b"]));
        assert_eq!(made(b"#!/bin/sh\necho"), Some(argv(&["/bin/sh", "./run.sh", "a", "b"])));
        let with_option = argv(&["/usr/bin/env", "python3 -u", "./run.sh", "a", "b"]);
        assert_eq!(made(b"#! /usr/bin/env \tpython3 -u \nx"), Some(with_option));
        assert_eq!(made(b"\x7fELF"), None);
        assert_eq!(made(b"#!\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&text);
            let _ = interpreted(&text, b"p", &Args::default());
        }
    }
}
