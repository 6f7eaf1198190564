//! Errors of object stores in one sentence.

use std::error::Error as _;

use object_store::Error;

use super::url_schemes::is_web;

/// The message for an object that does not exist.
pub(super) const NO_OBJECT: &str = "there is no such object";

/// A short message for an error of an object store, about something with this URL.
pub(super) fn error_message(error: &Error, url: &str) -> String {
    let code = error_code(error);
    match error {
        _ if matches!(code.as_deref(), Some("NoSuchBucket" | "ContainerNotFound")) => {
            let what = if code.as_deref() == Some("NoSuchBucket") { "bucket" } else { "container" };
            format!("there is no such {what}")
        }
        Error::NotFound { .. } => NO_OBJECT.to_owned(),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            format!("access is denied: {}", credentials(url))
        }
        Error::NotSupported { .. } if is_web(url) => {
            "the server does not send parts of files: download the file, or read a format such as CSV"
                .to_owned()
        }
        other => transport_message(other, url),
    }
}

/// A short message for settings with which no store can be opened.
pub(super) fn settings_message(error: &Error, url: &str) -> String {
    let message = root(error).unwrap_or_else(|| error.to_string());
    format!("{}: {}", one_line(&message), credentials(url))
}

/// What to do about credentials.
fn credentials(url: &str) -> &'static str {
    match url.split_once("://").map_or("", |(scheme, _)| scheme) {
        "gs" => "check GOOGLE_SERVICE_ACCOUNT, the path of a key file",
        "az" | "azure" | "abfs" | "abfss" | "adl" => {
            "check AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or \
             AZURE_STORAGE_CONNECTION_STRING"
        }
        "http" | "https" => "the server wants credentials, which only s3, gs and az can have",
        _ => "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    }
}

/// The message for an answer that is no success, or for none.
fn transport_message(error: &Error, url: &str) -> String {
    let text = error.to_string();
    // Without credentials, the stores ask the services of virtual machines for some.
    let metadata_services = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];
    if metadata_services.iter().any(|service| text.contains(service)) {
        return format!("there are no credentials: {}", credentials(url));
    }
    let Some(root) = root(error) else { return one_line(&text) };
    if let Some((_, status)) = root.split_once("non-2xx status code: ") {
        let status = status.split([':', '\n']).next().unwrap_or(status);
        return format!("the server answers {}", status.trim());
    }
    let is_transport = ["error sending request", "HTTP error", "connect", "dns error", "timed out"];
    match is_transport.iter().any(|sign| text.contains(sign) || root.contains(sign)) {
        true => format!("the server cannot be reached: {}", one_line(&root)),
        false => one_line(&root),
    }
}

/// The message of the last error in the chain of causes.
fn root(error: &Error) -> Option<String> {
    std::iter::successors(error.source(), |cause| (*cause).source()).last().map(ToString::to_string)
}

/// A message without line breaks.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The `<Code>` of the error document with which a store answered the request.
///
/// `object_store` maps a missing object (`NoSuchKey`) and a missing bucket (`NoSuchBucket`) to the same variant,
/// and keeps the body of the response in a type that is private to it. The last error in the source chain prints
/// the HTTP status followed by the body; outer errors also print the path and the URL, which can hold any text.
fn error_code(error: &Error) -> Option<String> {
    parse_error_code(&root(error)?).map(str::to_owned)
}

/// The `<Code>` of an error document in XML, which may follow other text.
///
/// XML escapes `<` in text, so the tag cannot occur inside another element's text.
fn parse_error_code(response: &str) -> Option<&str> {
    let (_, document) = response.split_once("<Error>")?;
    let (fields, _) = document.split_once("</Error>")?;
    let (_, code) = fields.split_once("<Code>")?;
    Some(code.split_once("</Code>")?.0.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `object_store`'s private error for a response prints.
    fn response(code: &str, message: &str) -> String {
        format!(
            "Server returned non-2xx status code: 404 Not Found: <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Error>\n  <Code>{code}</Code>\n  <Message>{message}</Message>\n</Error>"
        )
    }

    #[test]
    fn the_code_of_an_error_document_is_found() {
        assert_eq!(parse_error_code(&response("NoSuchBucket", "none")), Some("NoSuchBucket"));
        let quoted = response("NoSuchKey", "&lt;Code&gt;NoSuchBucket&lt;/Code&gt;");
        assert_eq!(parse_error_code(&quoted), Some("NoSuchKey"));
        for other in
            ["", "connection refused", "<html>NoSuchBucket</html>", "<Error><Code>NoSuchBucket", "<Error>"]
        {
            assert_eq!(parse_error_code(other), None, "{other}");
        }
    }

    #[test]
    fn a_missing_bucket_is_told_from_a_missing_object() {
        let not_found =
            |path: &str, body: String| Error::NotFound { path: path.to_owned(), source: body.into() };
        let bucket = not_found("out", response("NoSuchBucket", "The specified bucket does not exist"));
        assert_eq!(error_message(&bucket, "s3://out"), "there is no such bucket");
        let container = not_found("out", response("ContainerNotFound", "none"));
        assert_eq!(error_message(&container, "az://out"), "there is no such container");
        let object = not_found("NoSuchBucket", response("NoSuchKey", "The specified key does not exist"));
        assert_eq!(error_message(&object, "s3://out"), "there is no such object");
    }

    #[test]
    fn other_errors_are_one_sentence() {
        let generic = |text: &str| Error::Generic { store: "S3", source: text.to_owned().into() };
        for (text, message) in [
            (
                "Server returned non-2xx status code: 500 Internal Server Error: <html>\nmore</html>",
                "the server answers 500 Internal Server Error",
            ),
            (
                "dns error: failed to lookup address information",
                "the server cannot be reached: dns error: failed to lookup address information",
            ),
            (
                "Error performing PUT http://169.254.169.254/latest/api/token in 1s",
                "there are no credentials: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ),
        ] {
            assert_eq!(error_message(&generic(text), "s3://rows/x"), message);
        }
    }
}
