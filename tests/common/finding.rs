//! One record of the spool, read without the program's own types: a changed name of a field has to be seen here.

use std::sync::Arc;

use serde_json::Value;

/// The category of what tetherd is for.
pub const CATEGORY: &str = "Execution: Possible Remote Command Execution Detected";

/// One record. Those of a whole run are handed out each time that a test waits for one: cheap to clone.
#[derive(Clone, Debug)]
pub struct Finding(pub Arc<Value>);

impl Finding {
    fn field(&self, name: &str) -> &Value {
        &self.0["finding"][name]
    }

    fn field_text(&self, name: &str) -> &str {
        self.field(name).as_str().unwrap_or_default()
    }

    /// The last component of its name.
    pub fn id(&self) -> &str {
        self.field_text("name").rsplit('/').next().unwrap_or_default()
    }

    /// `category`.
    pub fn category(&self) -> &str {
        self.field_text("category")
    }

    /// `severity`.
    pub fn severity(&self) -> &str {
        self.field_text("severity")
    }

    /// `state`.
    pub fn state(&self) -> &str {
        self.field_text("state")
    }

    /// `createTime`.
    pub fn create_time(&self) -> &str {
        self.field_text("createTime")
    }

    /// A source property.
    pub fn property(&self, name: &str) -> &Value {
        &self.field("sourceProperties")[name]
    }

    /// A source property that is text.
    pub fn text(&self, name: &str) -> &str {
        self.property(name).as_str().unwrap_or_default()
    }

    /// A source property that is a number, or text of digits; 0 where there is none.
    pub fn number(&self, name: &str) -> u64 {
        number(self.property(name)).unwrap_or(0)
    }

    /// A source property that is a list of numbers.
    pub fn numbers(&self, name: &str) -> Vec<u64> {
        let list = self.property(name).as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(number).collect()
    }

    /// Which row of the table of findings.
    pub fn row(&self) -> u64 {
        self.number("Row")
    }

    /// How many commands ran on the tether.
    pub fn count(&self) -> u64 {
        self.number("Process_Count")
    }

    /// How many of them were seen in a way: held, live, inherited, swept.
    pub fn observed(&self, how: &str) -> u64 {
        number(&self.property("Process_Observations")[how]).unwrap_or(0)
    }

    /// Whether a sentence of the evidence has this in it.
    pub fn says(&self, part: &str) -> bool {
        let list = self.property("Evidence").as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).any(|sentence| sentence.contains(part))
    }

    /// `connections`.
    pub fn connections(&self) -> &[Value] {
        self.field("connections").as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The first connection's peer port.
    pub fn peer_port(&self) -> Option<u16> {
        self.port("destinationPort")
    }

    /// The first connection's own port.
    pub fn own_port(&self) -> Option<u16> {
        self.port("sourcePort")
    }

    fn port(&self, field: &str) -> Option<u16> {
        self.connections().first()?[field].as_u64()?.try_into().ok()
    }

    /// `processes`: the timeline.
    pub fn processes(&self) -> &[Value] {
        self.field("processes").as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// The process with this id, the newest entry if it executed several programs.
    pub fn process(&self, pid: u32) -> Option<&Value> {
        self.processes().iter().rfind(|process| process["pid"].as_str() == Some(&pid.to_string()))
    }

    /// How the process with this id was seen, when it executed the newest of its programs.
    pub fn seen(&self, pid: u32) -> Option<&str> {
        let timeline = self.property("Timeline").as_array().map(Vec::as_slice).unwrap_or_default();
        timeline.iter().rfind(|entry| entry["pid"] == pid)?["seen"].as_str()
    }

    /// Whether the timeline has a program with exactly these arguments.
    pub fn ran(&self, arguments: &[&str]) -> bool {
        self.processes().iter().any(|process| arguments_of(process) == arguments)
    }

    /// Whether it is about this word (a token in an argument, a path).
    pub fn mentions(&self, word: &str) -> bool {
        self.0.to_string().contains(word)
    }

    /// One line for a failed test.
    pub fn brief(&self) -> String {
        let processes: Vec<_> = self.processes().iter().map(|p| arguments_of(p).join(" ")).collect();
        format!(
            "{} {} {} {} row {} fds {:?} {} {} {:?} count {} {processes:?}",
            self.id().get(..8).unwrap_or("-"),
            self.category(),
            self.severity(),
            self.state(),
            self.row(),
            self.numbers("Socket_Fds"),
            self.text("Tether_Direction"),
            self.text("Socket_Protocol"),
            self.connections(),
            self.count(),
        )
    }
}

/// `args` of one process.
pub fn arguments_of(process: &Value) -> Vec<&str> {
    let list = process["args"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).collect()
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
