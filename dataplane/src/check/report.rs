//! Telling what was found.

use std::fmt;

use serde_json::{Value, json};

use super::{Finding, Report, State};

impl State {
    /// The word in the report.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }

    /// What a process ends with that found this: 0, 1 or 2.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warn => 1,
            Self::Fail => 2,
        }
    }
}

impl Report {
    /// The worst of all findings.
    #[must_use]
    pub fn state(&self) -> State {
        let states = self.findings.iter().map(|finding| finding.state);
        states.max().unwrap_or(State::Ok)
    }

    /// What is not as it should be.
    pub fn wrong(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.state != State::Ok)
    }

    /// The report for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(Finding::to_json).collect();
        json!({ "state": self.state().as_str(), "findings": findings })
    }
}

impl Finding {
    /// The finding for programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = json!({
            "name": self.name,
            "state": self.state.as_str(),
            "value": self.value,
        });
        if self.state != State::Ok {
            object["why"] = json!(self.why);
            object["mend"] = json!(self.mend);
        }
        object
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name_width = self
            .findings
            .iter()
            .map(|finding| finding.name.len())
            .max()
            .unwrap_or(0);
        for finding in &self.findings {
            writeln!(
                formatter,
                "{:4}  {:name_width$}  {}",
                finding.state.as_str(),
                finding.name,
                finding.value
            )?;
            if finding.state != State::Ok {
                writeln!(formatter, "      {:name_width$}  {}", "", finding.why)?;
                writeln!(
                    formatter,
                    "      {:name_width$}  mend: {}",
                    "", finding.mend
                )?;
            }
        }
        Ok(())
    }
}
