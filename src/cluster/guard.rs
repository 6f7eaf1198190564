//! What stands before the ports of a cluster: requests without its token are refused, and what is no gRPC.
//!
//! The token travels as the second word of the user agent. Of the connections that Ballista opens it lets us configure
//! the endpoint alone, and of an endpoint's headers tonic lets us set only this one.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use ballista_core::extension::{BallistaConfigGrpcEndpoint, EndpointOverrideFn};
use datafusion::common::{DataFusionError, Result};
use futures::future::Either;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Version};
use tonic::Status;
use tonic::transport::Endpoint;
use tower_layer::Layer;
use tower_service::Service;

use super::VERSION;
use super::token::Token;

/// An endpoint whose requests carry the token.
///
/// # Errors
/// None that a token can cause.
pub(super) fn authorized(endpoint: Endpoint, token: &Token) -> Result<Endpoint> {
    endpoint
        .user_agent(format!("warpframe/{VERSION} {}", token.secret()))
        .map_err(|error| DataFusionError::External(error.into()))
}

/// The same in Ballista's form, for connections that it opens.
pub(super) fn authorize(token: &Token) -> EndpointOverrideFn {
    let token = token.clone();
    Arc::new(move |endpoint| Ok(authorized(endpoint, &token)?))
}

/// The same for connections to executors.
pub(super) fn authorize_fetches(token: &Token) -> Arc<BallistaConfigGrpcEndpoint> {
    Arc::new(BallistaConfigGrpcEndpoint::new(authorize(token)))
}

/// Lets requests with the token through.
#[derive(Debug, Clone)]
pub(super) struct RequireToken {
    token: Token,
}

impl RequireToken {
    pub fn new(token: Token) -> Self {
        Self { token }
    }

    /// The answer to a request that is not let through.
    fn refusal<B, R: Default>(&self, request: &Request<B>) -> Option<Response<R>> {
        let refused = |status| {
            let mut response = Response::new(R::default());
            *response.status_mut() = status;
            Some(response)
        };
        // A browser sends none of these to a foreign address without asking first.
        if request.version() != Version::HTTP_2 {
            return refused(StatusCode::HTTP_VERSION_NOT_SUPPORTED);
        }
        let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if request.method() != Method::POST
            || !matches!(content_type, Some(b"application/grpc" | b"application/grpc+proto"))
        {
            return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let agent = request.headers().get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
        let token = agent.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        match self.token.is(token) {
            true => None,
            false => Some(Status::unauthenticated("the token is missing or wrong").into_http()),
        }
    }
}

impl<S> Layer<S> for RequireToken {
    type Service = TokenRequired<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TokenRequired { required: self.clone(), inner }
    }
}

/// A service behind the token.
#[derive(Debug, Clone)]
pub(super) struct TokenRequired<S> {
    required: RequireToken,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for TokenRequired<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.required.refusal(&request) {
            None => Either::Left(self.inner.call(request)),
            Some(refusal) => Either::Right(ready(Ok(refusal))),
        }
    }
}
