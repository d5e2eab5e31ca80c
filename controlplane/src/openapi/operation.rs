//! One operation of the API, from what is said about it to utoipa's form.

use serde_json::Value;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::ObjectBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Required, ResponseBuilder};

use super::answers::envelope;
use super::config::id;
use super::shape::{Shape, count, named, text};

/// Name of the security scheme.
pub(super) const BEARER: &str = "bearer";

/// Who may do it, as long as authentication is on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    /// Those with a token of the role admin.
    Admin,
    /// Those with any token.
    Any,
    /// Everybody, unless the configuration closes it.
    Configurable,
    /// Everybody.
    Public,
}

/// An operation under construction.
pub(super) struct Operation {
    path: &'static str,
    method: HttpMethod,
    builder: OperationBuilder,
    /// Component that a failure's body is.
    failure: &'static str,
}

impl Operation {
    /// What `method` does at `path`; the parameters in the path are those of the summary.
    pub(super) fn new(
        method: HttpMethod,
        path: &'static str,
        tag: &str,
        id: &str,
        access: Access,
        summary: &str,
    ) -> Self {
        let failure = "Failure";
        Self::begin((method, path), tag, id, access, summary, failure)
    }

    /// The same for NMOS, which is open unless `nmos.require_auth` is set, and has failures of its own form.
    pub(super) fn of_nmos(method: HttpMethod, path: &'static str, id: &str, summary: &str) -> Self {
        let is_read = method == HttpMethod::Get;
        let access = Access::Configurable;
        let operation = Self::begin((method, path), "nmos", id, access, summary, "NmosError")
            .fails(404, "No such resource, or NMOS is switched off.");
        match is_read {
            true => operation,
            false => operation.fails(403, "The token's role is not admin, or the page foreign."),
        }
    }

    fn begin(
        (method, path): (HttpMethod, &'static str),
        tag: &str,
        id: &str,
        access: Access,
        summary: &str,
        failure: &'static str,
    ) -> Self {
        let mut builder = OperationBuilder::new()
            .tag(tag)
            .operation_id(Some(id))
            .summary(Some(summary));
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            builder = builder.parameter(path_parameter(name));
        }
        let mut operation = Self {
            path,
            method,
            builder,
            failure,
        };
        if access == Access::Public {
            operation.builder = operation
                .builder
                .securities(Some([SecurityRequirement::default()]));
            return operation;
        }
        let bearer = SecurityRequirement::new::<_, [&str; 0], &str>(BEARER, []);
        operation.builder = operation.builder.securities(Some([bearer]));
        operation = operation.fails(
            401,
            "Token missing, malformed, expired or signed by another.",
        );
        match access {
            Access::Admin => operation.fails(403, "The token's role is not admin."),
            _ => operation,
        }
    }

    /// More about it.
    pub(super) fn describe(mut self, description: &str) -> Self {
        self.builder = self.builder.description(Some(description));
        self
    }

    /// A parameter after the question mark.
    pub(super) fn query(mut self, name: &str, shape: ObjectBuilder, description: &str) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(shape));
        self.builder = self.builder.parameter(parameter);
        self
    }

    /// A body of this component, in JSON.
    pub(super) fn takes(self, component: &str, example: Value) -> Self {
        self.takes_either(component, &["application/json"], example)
    }

    /// A body of this component in one of these forms.
    pub(super) fn takes_either(mut self, component: &str, kinds: &[&str], example: Value) -> Self {
        let mut body = RequestBodyBuilder::new().required(Some(Required::True));
        for kind in kinds {
            let content = ContentBuilder::new()
                .schema(Some(named(component)))
                .example(Some(example.clone()));
            body = body.content(*kind, content.build());
        }
        self.builder = self.builder.request_body(Some(body.build()));
        self.fails(408, "The body was not complete in time.")
            .fails(413, "The body is too long.")
            .fails(503, "Too many large requests at once.")
    }

    /// Success in the envelope.
    pub(super) fn returns(self, data: impl Into<Shape>, data_example: Value) -> Self {
        let example = serde_json::json!({"success": true, "data": data_example});
        self.returns_bare(envelope(data), example)
    }

    /// Success without the envelope.
    pub(super) fn returns_bare(self, body: impl Into<Shape>, example: Value) -> Self {
        let content = ContentBuilder::new()
            .schema(Some(body))
            .example(Some(example));
        self.succeeds("application/json", content)
    }

    /// Success that is text.
    pub(super) fn returns_text(self, kind: &str, description: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(text(description)));
        self.succeeds(kind, content)
    }

    /// Success that is text of one of these kinds.
    pub(super) fn returns_text_of(mut self, kinds: &[&str], description: &str) -> Self {
        let mut response = ResponseBuilder::new().description("Success.");
        for kind in kinds {
            let content = ContentBuilder::new().schema(Some(text(description)));
            response = response.content(*kind, content.build());
        }
        self.builder = self.builder.response("200", response);
        self
    }

    fn succeeds(mut self, kind: &str, content: ContentBuilder) -> Self {
        let response = ResponseBuilder::new()
            .description("Success.")
            .content(kind, content.build());
        self.builder = self.builder.response("200", response);
        self
    }

    /// Another success without the envelope.
    pub(super) fn returns_with(
        mut self,
        status: u16,
        description: &str,
        body: impl Into<Shape>,
        example: Value,
    ) -> Self {
        let content = ContentBuilder::new()
            .schema(Some(body))
            .example(Some(example));
        let response = ResponseBuilder::new()
            .description(description)
            .content("application/json", content.build());
        self.builder = self.builder.response(status.to_string(), response);
        self
    }

    /// An answer without a body.
    pub(super) fn answers_nothing(mut self, status: u16, description: &str) -> Self {
        let response = ResponseBuilder::new().description(description);
        self.builder = self.builder.response(status.to_string(), response);
        self
    }

    /// A failure, with its reason in the body.
    pub(super) fn fails(mut self, status: u16, description: &str) -> Self {
        let mut response = ResponseBuilder::new().description(description).content(
            "application/json",
            ContentBuilder::new()
                .schema(Some(named(self.failure)))
                .build(),
        );
        if status == 429 {
            let seconds = count("Seconds until the next attempt is answered.");
            response = response.header("Retry-After", Header::new(seconds));
        }
        self.builder = self.builder.response(status.to_string(), response);
        self
    }

    /// Path and what is there.
    pub(super) fn finish(self) -> (&'static str, PathItem) {
        (self.path, PathItem::new(self.method, self.builder))
    }
}

fn path_parameter(name: &str) -> ParameterBuilder {
    let (description, example) = match name {
        "flow_id" => ("Id of the flow.", "main-feed"),
        "file" => ("Name of the file.", "style.css"),
        "output_id" => ("Id of the output.", "rtp-out-1"),
        _ => ("Id.", "1"),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(id(description)))
        .example(Some(example.into()))
}
