//! The pages: each link leads to a file that is there, each page is in the book's list, and each command that a page names exists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let inside = |directory: &str| {
        fs::read_dir(root().join(directory)).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let mut all: Vec<PathBuf> =
        inside("docs").into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "md")).collect();
    all.extend(
        ["README.md", "SECURITY.md", "benches/README.md", "packaging/helm/tetherd/README.md"]
            .map(|page| root().join(page)),
    );
    all
}

/// What follows `](` up to `)`.
fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

/// As mdBook and the usual renderers make an anchor of a heading.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|line| line.trim_start_matches('#').trim());
    headings
        .map(|heading| {
            let kept = heading
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .collect::<String>();
            kept.replace(' ', "-")
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let whole = target.exists()
                && (anchor.is_empty() || anchors(&fs::read_to_string(&target).unwrap()).contains(anchor));
            if !whole {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn each_page_is_in_the_book() {
    let summary = fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let listed: BTreeSet<&str> = links(&summary).into_iter().collect();
    for page in fs::read_dir(root().join("docs")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") && name != "SUMMARY.md" {
            assert!(listed.contains(name.as_str()), "docs/SUMMARY.md has no {name}");
        }
    }
}

#[test]
fn commands_exist() {
    let help = Command::new(env!("CARGO_BIN_EXE_tetherd")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: BTreeSet<&str> = help.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let spans = text.split('`').skip(1).step_by(2).flat_map(str::lines);
        for command in spans.filter_map(|span| span.trim().strip_prefix("tetherd ")) {
            let word = command.split_whitespace().next().unwrap_or_default();
            if word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-') {
                assert!(known.contains(word), "{}: there is no `tetherd {word}`", page.display());
            }
        }
    }
}

/// Files below a directory that end like this.
fn below(directory: &Path, end: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, end, found);
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
}

/// What stands between `start` and the next quotation mark.
fn quoted<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(start).skip(1).filter_map(|rest| rest.split('"').next())
}

/// The book as mdBook makes it: each link of each page leads to a file, and to a heading where it names one.
#[test]
#[ignore = "takes mdBook; the head of docs/book says how to have it"]
fn the_books_links_lead_somewhere() {
    let output = Command::new(root().join("docs/book")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (book, mut pages, mut broken) = (root().join("target/book"), Vec::new(), Vec::new());
    below(&book, ".html", &mut pages);
    assert!(pages.len() > 30);
    // The whole book on one page, the list beside it and the page for what is missing have other places for the same links.
    pages.retain(|page| !["print.html", "toc.html", "404.html"].iter().any(|name| page.ends_with(name)));
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let links = [" href=\"", " src=\""].into_iter().flat_map(|start| quoted(&text, start));
        for link in links.filter(|link| !link.contains(':')) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let named = || quoted(&fs::read_to_string(&target).unwrap(), " id=\"").any(|id| id == anchor);
            if !target.exists() || !(anchor.is_empty() || named()) {
                broken.push(format!("{}: {link}", page.strip_prefix(&book).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
