//! A program recognised by what its file is, whatever it is called.
//!
//! Owns: the answer to "is there a shell behind this name?". Must not own: finding it out (`host`), what follows from
//! it (`engine`).

/// How a program was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// It is the very file that has this path under the process's root: a hard link, or a new name.
    SameFile(Vec<u8>),
    /// It has the same bytes as the file of this path under the process's root.
    SameContent(Vec<u8>),
    /// Its file has in it what only this shell has.
    Characteristic,
}

/// A shell, or a program that holds one, under another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// What it really is: `bash`, `busybox`.
    pub name: String,
    /// How that is known.
    pub how: How,
}

/// What stands behind a program's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A shell.
    Shell(Recognised),
    /// No shell that is known.
    NoShell,
    /// Not known yet: asked again, it may be.
    Late,
    /// It will not be known, because of this.
    Unreadable(&'static str),
}
