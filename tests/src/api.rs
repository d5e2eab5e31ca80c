//! The REST API as a client sees it.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request};

/// A client of one control plane.
#[derive(Clone, Debug)]
pub struct Api {
    base: String,
    agent: Agent,
}

/// What the control plane answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Method and path, for messages.
    pub asked: String,
    /// HTTP status.
    pub status: u16,
    /// The body; null when it is not JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Api {
    /// A client of the API at `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_LIMIT))
            .build()
            .new_agent();
        Self {
            base: format!("http://{address}"),
            agent,
        }
    }

    /// A client of the same API with connections of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        let address = self.base.trim_start_matches("http://");
        Self::new(address.parse().expect("made from an address"))
    }

    /// The URL of `path`, for programs that ask the API on their own.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Sends a request with any body.
    ///
    /// # Errors
    ///
    /// When no HTTP answer came.
    pub fn try_send(
        &self,
        method: &Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Answer, ureq::Error> {
        let request = Request::builder()
            .method(method.clone())
            .uri(self.url(path))
            .header("content-type", "application/json");
        let mut response = match body {
            Some(body) => self.agent.run(request.body(body.to_owned())?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let text = response.body_mut().read_to_string()?;
        Ok(Answer {
            asked: format!("{method} {path}"),
            status: response.status().as_u16(),
            body: serde_json::from_str(&text).unwrap_or_default(),
            text,
        })
    }

    /// Sends a request; `body` is any text.
    pub fn send(&self, method: Method, path: &str, body: Option<&str>) -> Answer {
        self.try_send(&method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// GET.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None)
    }

    /// POST with a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(&body.to_string()))
    }

    /// POST without a body.
    pub fn act(&self, path: &str) -> Answer {
        self.send(Method::POST, path, None)
    }

    /// PUT with a JSON body.
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, Some(&body.to_string()))
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None)
    }

    /// The statistics of one flow.
    #[must_use]
    pub fn stats(&self, flow_id: &str) -> Value {
        self.get(&format!("/api/v1/stats/{flow_id}")).data()
    }

    /// All events that are kept, the newest first.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let data = self.get("/api/v1/events").data();
        data["events"].as_array().cloned().unwrap_or_default()
    }
}

impl Answer {
    /// The data of a success.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{}: {}", self.asked, self.text);
        assert_eq!(self.body["success"], true, "{}: {}", self.asked, self.text);
        assert!(
            self.body.get("data").is_some(),
            "{}: no data: {}",
            self.asked,
            self.text
        );
        self.body["data"].clone()
    }

    /// The message of a refusal with this status, in the envelope of the API reference.
    ///
    /// # Panics
    ///
    /// When it is anything else.
    #[must_use]
    #[track_caller]
    pub fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text);
        assert_eq!(self.body["success"], false, "{}: {}", self.asked, self.text);
        assert!(
            self.body.get("data").is_none(),
            "{}: an error without data: {}",
            self.asked,
            self.text
        );
        match self.body["error"].as_str() {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ => panic!("{}: no error message: {}", self.asked, self.text),
        }
    }
}

/// Longest that an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
