//! Services that run a command on the connection, as their administrator wants: nothing that can be seen tells them from
//! an attack, so each is a finding, and an allow rule that names it excuses it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::daemon::{Daemon, Place};
use crate::common::finding::{Finding, arguments_of};
use crate::common::notes::note_work;
use crate::common::victim::Victim;
use crate::common::work::{Work, answers};
use crate::common::{say, wait_at_most, wait_for};
use crate::require;

/// How often each service is asked.
const CALLS: usize = 5;
/// Of how many calls the command may have ended before its parents could be read, which no rule can name then.
const UNREAD_MAX: usize = 2;

/// Asks the service once; the caller's port.
fn ask(port: u16, question: &str) -> u16 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(question.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(!answer.is_empty(), "the service answers");
    stream.local_addr().unwrap().port()
}

/// Asks the service on a port: what is found of it by a daemon that has no rule for it, and by one that has.
fn is_a_matter_of_policy(port: u16, server: Victim, question: &str, rule: &str) {
    let place = Place::new("");
    fs::write(place.path("rules.d/50-service.toml"), rule).unwrap();
    let (plain, ruled) = (Daemon::shared(), Daemon::start_in(&place));
    let callers: Vec<u16> = (0..CALLS).map(|_| ask(port, question)).collect();
    let is_own = |record: &Finding| record.peer_port().is_some_and(|peer| callers.contains(&peer));

    let found = plain.wait_for("the service without a rule", |record| is_own(record) && record.row() == 1);
    assert_eq!(found.severity(), "HIGH", "{}", found.brief());
    assert_eq!(found.text("Tether_Direction"), "inbound", "{}", found.brief());
    note_work(plain, "reported", Some(&found));
    let name = rule.split('"').nth(1).unwrap();
    wait_for("the rule is used", || ruled.status()["rules"]["hits"][name].as_u64().filter(|hits| *hits > 0));
    ruled.judged();
    // Over the second looks.
    let read = |record: &Finding| {
        is_own(record) && record.processes().iter().any(|process| !arguments_of(process).is_empty())
    };
    let came = wait_at_most(Duration::from_secs(1), || ruled.records().into_iter().find(read));
    assert!(came.is_none(), "{}", came.unwrap().brief());
    let unread = ruled.place().findings().iter().filter(|record| is_own(record)).count();
    if unread > 0 {
        say(&format!(
            "NOT READ: {unread} of {CALLS} commands had ended before the rule {name} could name them"
        ));
    }
    assert!(unread <= UNREAD_MAX, "{unread} of {CALLS} were not read");
    note_work(&ruled, &format!("excused by `{name}`"), None);
    drop(server);
    ruled.stop();
}

/// inetd, with one command of its configuration.
fn inetd(command: &str, question: &str, rule: &str) {
    let mut work = Work::new();
    let port = work.port();
    let config = work.write("inetd.conf", &format!("127.0.0.1:{port} stream tcp nowait root {command}\n"));
    let server = work.started("inetd", &["-i", config.to_str().unwrap()]);
    answers(port);
    is_a_matter_of_policy(port, server, question, rule);
}

#[test]
fn inetd_runs_cat() {
    require!("inetd");
    let rule = "[[allow]]\nname = \"inetd-cat\"\nreason = \"an echo service\"\n\
        executable = [\"/usr/bin/cat\"]\nancestor = [\"/usr/sbin/inetd\"]\ndirection = \"inbound\"\n";
    inetd("/bin/cat cat", "hello\n", rule);
}

#[test]
fn inetd_runs_date() {
    require!("inetd");
    let rule = "[[allow]]\nname = \"inetd-date\"\nreason = \"a daytime service\"\n\
        executable = [\"/usr/bin/date\"]\nancestor = [\"/usr/sbin/inetd\"]\ndirection = \"inbound\"\n";
    inetd("/bin/date date", "", rule);
}

/// A forked server gives the script the connection as its stdin and stdout.
#[test]
fn a_cgi_script() {
    require!("/usr/bin/python3");
    let mut work = Work::new();
    let port = work.port();
    let script = work.write(
        "server.py",
        "import os,socket,sys\n\
         l=socket.create_server(('127.0.0.1',int(sys.argv[1])))\n\
         while True:\n\
         \x20c,_=l.accept()\n\
         \x20if os.fork()==0:\n\
         \x20 os.dup2(c.fileno(),0); os.dup2(c.fileno(),1)\n\
         \x20 os.execve(sys.argv[2],[sys.argv[2]],{'GATEWAY_INTERFACE':'CGI/1.1','REQUEST_METHOD':'GET'})\n\
         \x20c.close()\n",
    );
    let cgi = work.write("page.cgi", "#!/usr/bin/python3\nprint('Content-Type: text/plain\\n\\nhello')\n");
    work.bash("chmod 755 page.cgi");
    let (number, cgi) = (port.to_string(), cgi.to_str().unwrap().to_owned());
    let server = work.started("/usr/bin/python3", &[script.to_str().unwrap(), &number, &cgi]);
    answers(port);
    let python = fs::canonicalize("/usr/bin/python3").unwrap();
    let rule = format!(
        "[[allow]]\nname = \"cgi-page\"\nreason = \"a page of the web site\"\nexecutable = [\"{}\"]\n\
         arguments = [\"{cgi}\"]\ndirection = \"inbound\"\n",
        python.display()
    );
    is_a_matter_of_policy(port, server, "", &rule);
}
