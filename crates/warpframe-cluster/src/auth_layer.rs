//! Authentication of requests: a tower layer that rejects requests without the cluster's token and requests that are not
//! gRPC. `endpoint` adds the token.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures::future::Either;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Version};
use tonic::Status;
use tower_layer::Layer;
use tower_service::Service;

use super::token::Token;

/// The layer that requires the token.
#[derive(Debug, Clone)]
pub(super) struct AuthLayer {
    token: Token,
}

impl AuthLayer {
    pub fn new(token: Token) -> Self {
        Self { token }
    }

    /// The response to a request that is rejected, or `None` for one that is accepted.
    fn rejection<B, R: Default>(&self, request: &Request<B>) -> Option<Response<R>> {
        let rejected = |status| {
            let mut response = Response::new(R::default());
            *response.status_mut() = status;
            Some(response)
        };
        // Browsers cannot send these content types to another origin without a CORS preflight request.
        if request.version() != Version::HTTP_2 {
            return rejected(StatusCode::HTTP_VERSION_NOT_SUPPORTED);
        }
        let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if request.method() != Method::POST
            || !matches!(content_type, Some(b"application/grpc" | b"application/grpc+proto"))
        {
            return rejected(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let agent = request.headers().get(USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
        let token = agent.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        match self.token.matches(token) {
            true => None,
            false => Some(Status::unauthenticated("the token is missing or wrong").into_http()),
        }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService { layer: self.clone(), inner }
    }
}

/// A service behind an [`AuthLayer`].
#[derive(Debug, Clone)]
pub(super) struct AuthService<S> {
    layer: AuthLayer,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for AuthService<S>
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
        match self.layer.rejection(&request) {
            None => Either::Left(self.inner.call(request)),
            Some(rejection) => Either::Right(ready(Ok(rejection))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn only_grpc_with_the_token_passes() {
        let token = Token::random().unwrap();
        let guard = AuthLayer::new(token.clone());
        let request = |version, method: Method, content_type: &str, agent: &str| {
            let mut request = Request::new(());
            *request.version_mut() = version;
            *request.method_mut() = method;
            request.headers_mut().insert(CONTENT_TYPE, content_type.parse().unwrap());
            request.headers_mut().insert(USER_AGENT, agent.parse().unwrap());
            guard.rejection::<_, String>(&request)
        };
        let right = format!("warpframe/1 {} tonic/0", token.secret());
        let (http, grpc) = (Version::HTTP_2, "application/grpc");
        assert!(request(http, Method::POST, grpc, &right).is_none());
        assert!(request(http, Method::POST, "application/grpc+proto", &right).is_none());
        for (version, method, content_type, status) in [
            (Version::HTTP_11, Method::POST, grpc, StatusCode::HTTP_VERSION_NOT_SUPPORTED),
            (Version::HTTP_10, Method::POST, grpc, StatusCode::HTTP_VERSION_NOT_SUPPORTED),
            (http, Method::GET, grpc, StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (http, Method::POST, "text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (http, Method::POST, "application/grpc-web", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            (http, Method::POST, "application/json", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ] {
            let rejected = request(version, method.clone(), content_type, &right).unwrap();
            assert_eq!(rejected.status(), status, "{version:?} {method} {content_type}");
        }
        let other = Token::random().unwrap();
        let longer = format!("warpframe/1 {}0", token.secret());
        let shorter = &right[..right.len() - "0 tonic/0".len()];
        for agent in
            [&format!("warpframe/1 {}", other.secret()), &longer, shorter, "warpframe/1", token.secret(), ""]
        {
            let rejected = request(http, Method::POST, grpc, agent).unwrap();
            assert_eq!(rejected.headers()["grpc-status"], "16", "{agent}");
        }
    }
}
