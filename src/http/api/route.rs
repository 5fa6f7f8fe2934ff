//! A route: how it is called, by whom, what it takes and gives. It is made from its handler, so
//! that the document at `/v1/openapi.json` says what the handler's types say.

use std::{marker::PhantomData, pin::Pin, sync::Arc};

use axum::{
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use events::Position;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::access::{Row, Who},
    body,
    call::Call,
    problem::Problem,
    query::Param,
};
use crate::engine::Accepted;

/// What a handler gives.
pub(super) type Reply<A> = Result<Answer<A>, Problem>;

/// A success: its body, and what goes into headers.
pub(super) struct Answer<A> {
    body: A,
    position: Position,
    replay: bool,
    location: Option<String>,
}

/// The body of an answer that has none.
#[derive(Serialize, JsonSchema)]
pub(super) struct Empty;

impl<A> Answer<A> {
    /// Of a query that has seen everything up to a position.
    pub(super) fn at(position: Position, body: A) -> Self {
        Self { body, position, replay: false, location: None }
    }

    /// Of a command. What it says is made from the receipt and the request alone.
    pub(super) fn of(accepted: &Accepted, body: A) -> Self {
        let position = accepted.receipt.position;
        Self { body, position, replay: accepted.replay, location: None }
    }

    /// The same, naming where what was made is to be found.
    pub(super) fn found_at(self, location: String) -> Self {
        Self { location: Some(location), ..self }
    }
}

/// Makes the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

type Running = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

/// What a body is.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    /// Nothing.
    None,
    /// JSON of this shape.
    Json(SchemaOf),
    /// Text, as it is.
    Toml,
}

/// One route.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// Its name: that of its handler, and of the keys that were used for it.
    pub(super) operation: &'static str,
    pub(super) about: &'static str,
    pub(super) who: &'static [Who],
    pub(super) query: &'static [Param],
    pub(super) takes: Takes,
    pub(super) gives: SchemaOf,
    pub(super) success: StatusCode,
    /// Whether it takes an idempotency key.
    pub(super) keyed: bool,
    /// Whether the caller's token is dead afterwards, so that a repeated call comes with a dead one.
    pub(super) ends_session: bool,
    handler: Box<dyn Fn(Call) -> Running + Send + Sync>,
}

/// A route without its handler.
pub(super) struct Unanswered {
    method: Method,
    path: &'static str,
    operation: &'static str,
    about: &'static str,
    who: &'static [Who],
}

pub(super) fn get(
    path: &'static str,
    operation: &'static str,
    about: &'static str,
    who: &'static [Who],
) -> Unanswered {
    Unanswered { method: Method::GET, path, operation, about, who }
}

pub(super) fn post(
    path: &'static str,
    operation: &'static str,
    about: &'static str,
    who: &'static [Who],
) -> Unanswered {
    Unanswered { method: Method::POST, path, operation, about, who }
}

pub(super) fn put(
    path: &'static str,
    operation: &'static str,
    about: &'static str,
    who: &'static [Who],
) -> Unanswered {
    Unanswered { method: Method::PUT, path, operation, about, who }
}

pub(super) fn delete(
    path: &'static str,
    operation: &'static str,
    about: &'static str,
    who: &'static [Who],
) -> Unanswered {
    Unanswered { method: Method::DELETE, path, operation, about, who }
}

impl Unanswered {
    /// Answers without a body to read.
    pub(super) fn answers<A, F>(self, handler: fn(Call) -> F) -> Route
    where
        A: Serialize + JsonSchema + 'static,
        F: Future<Output = Reply<A>> + Send + 'static,
    {
        let run = move |call: Call| -> Running {
            let success = call.route.success;
            let running = handler(call);
            Box::pin(async move { Ok(written(success, running.await?)) })
        };
        self.with(Takes::None, PhantomData::<A>, Box::new(run))
    }

    /// Answers to a JSON body.
    pub(super) fn reads_json<B, A, F>(self, handler: fn(Call, B) -> F) -> Route
    where
        B: DeserializeOwned + JsonSchema + Send + 'static,
        A: Serialize + JsonSchema + 'static,
        F: Future<Output = Reply<A>> + Send + 'static,
    {
        let run = move |call: Call| -> Running {
            let success = call.route.success;
            let running = body::json(&call.request).map(|body| handler(call, body));
            Box::pin(async move { Ok(written(success, running?.await?)) })
        };
        self.with(Takes::Json(|it| it.subschema_for::<B>()), PhantomData::<A>, Box::new(run))
    }

    /// Answers to a TOML body.
    pub(super) fn reads_toml<A, F>(self, handler: fn(Call, String) -> F) -> Route
    where
        A: Serialize + JsonSchema + 'static,
        F: Future<Output = Reply<A>> + Send + 'static,
    {
        let run = move |call: Call| -> Running {
            let success = call.route.success;
            let running = body::toml(&call.request).map(|body| handler(call, body));
            Box::pin(async move { Ok(written(success, running?.await?)) })
        };
        self.with(Takes::Toml, PhantomData::<A>, Box::new(run))
    }

    fn with<A: JsonSchema>(
        self,
        takes: Takes,
        _: PhantomData<A>,
        handler: Box<dyn Fn(Call) -> Running + Send + Sync>,
    ) -> Route {
        let Self { method, path, operation, about, who } = self;
        Route {
            method,
            path,
            operation,
            about,
            who,
            query: &[],
            takes,
            gives: |it| it.subschema_for::<A>(),
            success: StatusCode::OK,
            keyed: false,
            ends_session: false,
            handler,
        }
    }
}

impl Route {
    /// Its parameters after the question mark.
    pub(super) fn query(self, query: &'static [Param]) -> Self {
        Self { query, ..self }
    }

    /// It makes something: 201.
    pub(super) fn creates(self) -> Self {
        Self { success: StatusCode::CREATED, ..self }
    }

    /// It begins something that takes a while: 202.
    pub(super) fn accepts(self) -> Self {
        Self { success: StatusCode::ACCEPTED, ..self }
    }

    /// It has nothing to say: 204.
    pub(super) fn says_nothing(self) -> Self {
        Self { success: StatusCode::NO_CONTENT, ..self }
    }

    /// It takes an idempotency key.
    pub(super) fn keyed(self) -> Self {
        Self { keyed: true, ..self }
    }

    /// The caller's token is dead afterwards.
    pub(super) fn ends_session(self) -> Self {
        Self { ends_session: true, ..self }
    }

    pub(super) fn row(&self) -> Row {
        let method = match self.method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            _ => "DELETE",
        };
        Row { face: "v1", method, path: self.path, who: self.who }
    }

    pub(super) async fn answer(self: &Arc<Self>, call: Call) -> Result<Response, Problem> {
        (self.handler)(call).await
    }
}

fn written<A: Serialize>(status: StatusCode, answer: Answer<A>) -> Response {
    let Answer { body, position, replay, location } = answer;
    let mut response = match status {
        StatusCode::NO_CONTENT => status.into_response(),
        _ => {
            let body = serde_json::to_string(&body).expect("answers have text keys");
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("docket-position"), HeaderValue::from(position.0));
    if replay {
        let replay = HeaderName::from_static("idempotent-replay");
        headers.insert(replay, HeaderValue::from_static("true"));
    }
    if let Some(location) = location.and_then(|it| HeaderValue::from_str(&it).ok()) {
        headers.insert(header::LOCATION, location);
    }
    response
}
