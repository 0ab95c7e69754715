//! Pipes, terminals, socketpairs and FIFOs with no network socket within reach.

use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::common::work::Work;
use crate::require;

#[test]
fn screen_tmux_and_script() {
    require!("screen", "tmux", "script");
    let work = Work::new();
    work.bash(
        "export TMUX_TMPDIR=$PWD; tmux -L s new-session -d -x 80 -y 24 'sh -i'; \
         tmux -L s send-keys 'id; ls | sort; hostname; sleep 0.4; echo >done' Enter; \
         until [ -e done ]; do sleep 0.05; done; tmux -L s kill-server",
    );
    work.bash(
        "export SCREENDIR=$PWD/screens; mkdir -m 700 screens; screen -dmS s sh -i; \
         screen -S s -X stuff 'id; ls | sort; hostname; sleep 0.4; echo >done2\\n'; \
         until [ -e done2 ]; do sleep 0.05; done; screen -S s -X quit",
    );
    work.bash("printf 'id\\ntty\\nsleep 0.4\\nls\\nexit\\n' | script -qc 'sh -i' $PWD/typescript >/dev/null");
    work.stays_quiet();
}

#[test]
fn fifos_between_local_programs() {
    require!("bash");
    let work = Work::new();
    work.bash(
        "mkfifo a b; sh <a >b 2>&1 & exec 7>a 8<b; echo 'id; uname -a; ls; sleep 0.7; echo over' >&7; \
         while read -r line <&8; do [ \"$line\" = over ] && break; done; exec 7>&-; wait",
    );
    work.bash("coproc sh; echo 'id; hostname; sleep 0.3; echo over' >&\"${COPROC[1]}\"; read -r x <&\"${COPROC[0]}\"; kill %1");
    work.stays_quiet();
}

#[test]
fn make_with_job_pipes() {
    require!("make");
    let work = Work::new();
    work.write(
        "Makefile",
        "all: $(shell seq -f 'o%g' 60)\no%:\n\t@+x=$$(id -u); uname -a | cat >$@; ls | grep -c o >>$@\n",
    );
    work.bash("make -s -j6 2>&1 | cat");
    work.stays_quiet();
}

/// A shell on a socketpair whose owner has no network socket, for longer than the second looks begin.
#[test]
fn a_shell_on_a_socketpair_in_a_process_of_its_own() {
    require!("/usr/bin/python3");
    let work = Work::new();
    let text = "import socket,subprocess,time\n\
        a,b=socket.socketpair(); p=subprocess.Popen(['/bin/sh'],stdin=b,stdout=b,stderr=b); b.close()\n\
        for line in (b'id -u\\n',b'uname -a\\n',b'hostname\\n'): a.sendall(line); a.recv(200); time.sleep(0.3)";
    let mut victim = work.started("/usr/bin/python3", &["-c", text]);
    assert!(victim.wait().success());
    work.stays_quiet();
}

/// As a container runtime's exec without a terminal: a shell between pipes, with a filter, of a parent without network.
#[test]
fn a_shell_between_pipes() {
    require!("/usr/bin/python3");
    let work = Work::new();
    let text = "import subprocess\n\
        p=subprocess.Popen(['sh','-c','exec sh 2>&1 | cat'],stdin=subprocess.PIPE,stdout=subprocess.PIPE,bufsize=0)\n\
        p.stdin.write(b'id; uname -a; ls; sleep 0.7; hostname\\nexit\\n'); assert b'uid=' in p.stdout.read(); p.wait()";
    let mut victim = work.started("/usr/bin/python3", &["-c", text]);
    assert!(victim.wait().success());
    work.stays_quiet();
}

#[test]
fn an_interactive_shell_on_a_terminal() {
    require!("bash", "script");
    let work = Work::new();
    let output = work.bash(
        "printf 'id\\nuname -a | cat\\nsleep 0.3\\nls | sort\\nexit\\n' | \
         script -qc 'bash --norc -i' $PWD/typescript",
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("uid="));
    work.stays_quiet();
}

/// A terminal window beside a browser: both are clients of one X server, and only the browser is on the network.
#[test]
fn a_terminal_and_a_browser_on_one_display() {
    require!("/usr/bin/python3", "bash");
    let mut work = Work::new();
    let port = work.port();
    let display = work.path("display").display().to_string();
    let mut server = std::process::Command::new(program("hub"));
    server.arg(&display).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let _server = Victim::ready(server, "ready");
    // The shell is there before the browser has its connection, and once more after it.
    let text = format!(
        "import os,pty,socket,time\n\
        listener=socket.create_server(('127.0.0.1',{port}))\n\
        def client():\n    s=socket.socket(socket.AF_UNIX); s.connect('{display}'); return s\n\
        browser=os.fork()\n\
        if browser==0:\n    x=client(); s=socket.create_connection(('127.0.0.1',{port})); time.sleep(9); os._exit(0)\n\
        far,_=listener.accept(); time.sleep(0.3); x=client()\n\
        listener.close()\n\
        pid,fd=pty.fork()\n\
        if pid==0:\n    far.close(); os.execvp('bash',['bash','--norc','-i'])\n\
        far.close()\n\
        for line in (b'id -u\\n',b'uname -a\\n',b'bash --norc -i\\n',b'hostname\\n'):\n    os.write(fd,line); time.sleep(0.5)\n\
        os.kill(browser,9); os.kill(pid,9)"
    );
    let mut victim = work.started("/usr/bin/python3", &["-c", &text]);
    assert!(victim.wait().success());
    work.stays_quiet();
}
