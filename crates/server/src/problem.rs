//! Errors as RFC 9457 problem documents.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A problem document.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    /// What was wrong, and what would be right.
    detail: String,
}

/// What went wrong with a request, for whoever made it.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// What is the server's own fault; the cause goes to the log, not to the stranger.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server could not do this; it is in its log")
    }
}

impl From<store::StoreError> for Problem {
    fn from(error: store::StoreError) -> Self {
        match error {
            store::StoreError::Forgotten => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            // Whoever asks again asks the node that has taken over.
            store::StoreError::Superseded => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            error => Self::internal(&error),
        }
    }
}

macro_rules! problem_of {
    ($($rejection:ty),+) => {
        $(impl From<$rejection> for Problem {
            fn from(rejection: $rejection) -> Self {
                Self::new(rejection.status(), rejection.body_text())
            }
        })+
    };
}

problem_of!(JsonRejection, PathRejection, QueryRejection);

/// A JSON object. (serde alone would take a list of its values too, which no document has.)
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Object<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(body) = Json::<Box<RawValue>>::from_request(request, state).await?;
        let unprocessable = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
        if !body.get().starts_with('{') {
            return Err(unprocessable("the body must be a JSON object".to_owned()));
        }
        serde_json::from_str(body.get()).map(Self).map_err(|error| unprocessable(error.to_string()))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        // Text and a number: there is nothing in it that cannot be written.
        let body = serde_json::to_string(&body).unwrap_or_default();
        (self.status, [(CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
