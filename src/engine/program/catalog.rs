//! The watched names.
//!
//! Owns: the shipped list in groups, each with its reason, names with versions, and what is configured. Must not own:
//! how a program is recognised. The list is the union of what Falco, Datadog, Elastic, Sigma, Neo23x0's auditd rules,
//! Elkeid, Tracee, osquery-defense-kit and NeuVector name, and of what their lists lack.

use std::collections::HashMap;

use crate::engine::program::shell::ShellFamily;

/// Why a name is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Executes whatever it reads.
    Shell,
    /// Executes programs in its own language, sockets and all.
    Interpreter,
    /// Opens connections, or runs commands on one.
    NetworkTool,
    /// Tells who and where one is: the first thing typed over a new shell.
    Recon,
    /// Starts, wraps or keeps alive another command on the same descriptors.
    SessionHelper,
    /// Sends a file over whatever stdout is.
    FileReader,
    /// Everyday commands, typed over any shell.
    CoreUtility,
    /// Administration: users, services, packages, containers.
    System,
    /// Named in the configuration.
    Configured,
}

impl Group {
    /// The reason, for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Shell => "executes whatever it reads",
            Self::Interpreter => "executes programs in its own language, sockets and all",
            Self::NetworkTool => "opens connections, or runs commands on one",
            Self::Recon => "tells who and where one is: the first thing typed over a new shell",
            Self::SessionHelper => "starts, wraps or keeps alive another command on the same descriptors",
            Self::FileReader => "sends a file over whatever stdout is",
            Self::CoreUtility => "everyday commands, typed over any shell",
            Self::System => "administration of users, services, packages and containers",
            Self::Configured => "named in the configuration",
        }
    }
}

/// The shipped list.
pub const GROUPS: [(Group, &str); 8] = [
    (
        Group::Shell,
        "sh bash dash ash zsh ksh csh tcsh fish mksh lksh ksh93 rksh rksh93 pdksh posh yash sash rc bsh rbash zsh5 \
         oksh loksh elvish nu xonsh pwsh busybox toybox bash-static zsh-static zsh5-static mksh-static static-sh \
         bsd-csh csharp tclsh",
    ),
    (
        Group::Interpreter,
        "python python2 python3 pypy pypy3 perl perl5 perl6 raku ruby irb jruby php php-cgi php-fpm lua luajit tcl \
         wish expect node nodejs deno bun java jshell groovy scala awk gawk mawk nawk original-awk vim vi nvim rvim \
         vimdiff view rview ex ed emacs gdb lldb octave R Rscript guile erl elixir iex ghci go julia dc bc osascript",
    ),
    (
        Group::NetworkTool,
        "nc ncat netcat nc.openbsd nc.traditional netcat.openbsd netcat.traditional socat telnet in.telnetd telnetd \
         openssl socket ssh scp sftp ftp tftp lftp curl wget wget2 aria2c lwp-download lwp-request GET nmap zmap masscan \
         dig host nslookup tcpdump tshark ngrep mitmproxy iodine iodined dnscat dnscat2 dns2tcpc dns2tcpd rsync \
         websocat chisel ligolo frpc ngrok cloudflared proxychains proxychains4 ping traceroute mtr whois rlogin rsh \
         gs-netcat gsocket pwncat",
    ),
    (
        Group::Recon,
        "id whoami w who uname hostname hostnamectl ip ifconfig netstat ss route arp iptables nft crontab users groups \
         logname pinky hostid last lastlog lastb getent lscpu lsblk lspci lsusb lsmod lsof ps pstree top htop free \
         uptime dmesg df du mount findmnt env printenv locale find locate which whereis getcap getfacl sysctl \
         systemd-detect-virt arch nproc tty finger",
    ),
    (
        Group::SessionHelper,
        "script stty setsid nohup timeout chroot mkfifo mknod rlwrap xterm zmodload logger tee stdbuf nice ionice \
         nsenter unshare su sudo doas runuser setpriv tmux screen byobu dtach abduco reptyr at batch watch xargs \
         parallel flock start-stop-daemon daemonize strace ltrace script-fu gosu su-exec firejail bwrap",
    ),
    (
        Group::FileReader,
        "cat less more most tail head tac od xxd hexdump hd strings base64 base32 basenc uuencode zcat bzcat xzcat \
         zless zmore bat nl rev pr fold column",
    ),
    (
        Group::CoreUtility,
        "basename chattr chcon chgrp chmod chown cksum comm cp csplit cut date dd dir dircolors dirname echo expand \
         expr factor fmt install join link ln ls lsattr md5sum mkdir mktemp mv numfmt paste pathchk printf ptx pwd \
         readlink realpath rm rmdir runcon seq sha1sum sha224sum sha256sum sha384sum sha512sum b2sum shred shuf sleep \
         sort split stat sum sync test [ textutils touch tr truncate tsort unexpand uniq unlink vdir wc yes true \
         false grep egrep fgrep zgrep rg ag sed diff cmp patch file tar gzip gunzip bzip2 bunzip2 xz unxz zstd zip \
         unzip 7z cpio ar make gcc cc g++ clang tcc as ld m4 kill killall pkill pgrep jq",
    ),
    (
        Group::System,
        "passwd chsh chfn chpasswd useradd usermod userdel groupadd adduser visudo vipw systemctl service journalctl \
         loginctl insmod modprobe rmmod umount swapon fdisk mkfs losetup cryptsetup apt apt-get apk dpkg rpm yum dnf \
         zypper pacman snap flatpak pip pip3 npm gem cargo git svn docker podman nerdctl ctr crictl runc crun kubectl \
         helm aws gcloud az reboot shutdown halt poweroff init telinit debugfs setcap setfacl update-alternatives \
         ssh-keygen ssh-add ssh-copy-id gpg mysql psql sqlite3 redis-cli mongo mongosh ldapsearch smbclient",
    ),
];

/// Commands of other groups that tell about the machine, or bring something onto it or away.
const ALSO_DISCOVERY: &str =
    "ls dir vdir pwd stat readlink realpath grep egrep fgrep rg tar dd cp scp file du";

/// Whether a name stands for discovery (ATT&CK TA0007) or transfer (T1105, T1048).
pub fn is_discovery(name: &str) -> bool {
    let group = |wanted: Group| {
        GROUPS
            .iter()
            .any(|(group, names)| *group == wanted && names.split_whitespace().any(|known| known == name))
    };
    group(Group::Recon)
        || group(Group::FileReader)
        || group(Group::NetworkTool)
        || ALSO_DISCOVERY.split_whitespace().any(|known| known == name)
}

/// Names, shipped and configured.
#[derive(Clone, Debug)]
pub struct Catalog {
    groups: HashMap<String, Group>,
    extra_shells: Vec<String>,
}

impl Catalog {
    /// The shipped names with those added, and without those ignored.
    pub fn new(commands: &[String], shells: &[String], ignore: &[String]) -> Self {
        let shipped =
            GROUPS.iter().flat_map(|(group, names)| names.split_whitespace().map(|name| (name, *group)));
        // A name in several groups keeps the first: what it can do at worst.
        let mut groups = HashMap::new();
        for (name, group) in shipped {
            groups.entry(name.to_owned()).or_insert(group);
        }
        groups.extend(commands.iter().map(|name| (name.clone(), Group::Configured)));
        groups.extend(shells.iter().map(|name| (name.clone(), Group::Shell)));
        groups.retain(|name, _| !ignore.contains(name));
        Self { groups, extra_shells: shells.to_vec() }
    }

    /// The group of a base name; `python3.11` is `python3`.
    pub fn group(&self, name: &str) -> Option<Group> {
        let whole = self.groups.get(name);
        let found = whole.or_else(|| self.groups.get(without_version(name)));
        found.or_else(|| self.groups.get(shell_stem(name)?)).copied()
    }

    /// Whose option grammar a shell has; `None`: it is no shell.
    pub fn shell_family(&self, name: &str) -> Option<ShellFamily> {
        if self.extra_shells.iter().any(|shell| shell == name) {
            return Some(ShellFamily::Posix);
        }
        ShellFamily::of(name)
            .or_else(|| ShellFamily::of(without_version(name)))
            .or_else(|| ShellFamily::of(shell_stem(name)?))
    }

    /// Whether a multi-call program's `argv[0]` names an applet.
    pub fn knows_applet(&self, name: &str) -> bool {
        self.group(name).is_some() || self.shell_family(name).is_some()
    }
}

/// A name without what looks like a version at its end: `lua5.4`, `perl5.36.0`, `php8.2`, `gcc-12`.
fn without_version(name: &str) -> &str {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    stem.strip_suffix('-').unwrap_or(stem)
}

/// A shell's name without what a distribution put behind it: `rc.byron`, `sh.shared`, `dash.distrib`.
fn shell_stem(name: &str) -> Option<&str> {
    let (stem, _) = name.split_once('.')?;
    ShellFamily::of(stem).map(|_| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let catalog = Catalog::new(&[], &[], &[]);
        for (name, group) in [
            ("python3.11", Group::Interpreter),
            ("perl5.36.0", Group::Interpreter),
            ("lua5.4", Group::Interpreter),
            ("php8.2", Group::Interpreter),
            ("ruby3.1", Group::Interpreter),
            ("bash", Group::Shell),
            ("ksh93", Group::Shell),
            ("rc.byron", Group::Shell),
            ("sha256sum", Group::CoreUtility),
            ("gcc-12", Group::CoreUtility),
            ("id", Group::Recon),
        ] {
            assert_eq!(catalog.group(name), Some(group), "{name}");
        }
        assert_eq!(catalog.group("nginx"), None);
        assert_eq!(catalog.group("12.3"), None);
    }

    #[test]
    fn the_merged_list_is_covered() {
        let catalog = Catalog::new(&[], &[], &[]);
        let sample = "sh bash dash ash zsh ksh csh tcsh fish busybox posh sash rc xonsh tclsh csharp perl6 rvim view nc ncat \
            zmap iodined dns2tcpd lwp-download pinky hostid rlwrap zmodload base32 chcon dircolors ptx vdir b2sum textutils \
            pathchk stdbuf runcon crictl apk pwsh";
        let missing: Vec<&str> =
            sample.split_whitespace().filter(|name| catalog.group(name).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
