//! What a person does in a session.

/// A list of bash that writes what somebody types, slowly: whoever reads it is looked at several times meanwhile. No
/// command of it may be one that the answer is looked for by.
pub const TYPING: &str = "{ sleep 0.5; echo id; sleep 0.7; echo 'ls /; uname -a'; sleep 0.7; \
     echo 'cat /etc/passwd | cat; hostname'; sleep 0.7; echo 'df | cat; echo do''ne'; sleep 0.3; echo exit; sleep 0.2; }";

/// What has been said by the end.
pub const SAID: [&str; 4] = ["uid=0(root)", "Linux", "root:x:0", "done"];

/// A line of bash in which somebody types into a command line.
pub fn types(command: &str) -> String {
    let checks = SAID.map(|said| format!("grep -qF '{said}' out")).join("; ");
    format!("{TYPING} | {command} >out; {checks}")
}

/// The same on a terminal.
pub fn types_on_terminal(command: &str) -> String {
    types(&format!("script --quiet --return --flush --command '{command}' /dev/null"))
}
