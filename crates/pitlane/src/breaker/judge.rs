use http::Response;

/// Tells which results of a service are failures.
///
/// Closures are judges: `|result: Result<&Reply, &io::Error>| …`, with the types written out.
pub trait Judge<T, E> {
    /// Whether the service failed.
    fn is_failure(&self, result: Result<&T, &E>) -> bool;
}

/// Errors are failures, and all answers are successes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorsFail;

/// Errors are failures, and so are HTTP answers with a status of 500 and above.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerErrorsFail;

impl<T, E> Judge<T, E> for ErrorsFail {
    fn is_failure(&self, result: Result<&T, &E>) -> bool {
        result.is_err()
    }
}

impl<B, E> Judge<Response<B>, E> for ServerErrorsFail {
    fn is_failure(&self, result: Result<&Response<B>, &E>) -> bool {
        result.map_or(true, |response| response.status().is_server_error())
    }
}

impl<T, E, F> Judge<T, E> for F
where
    F: Fn(Result<&T, &E>) -> bool,
{
    fn is_failure(&self, result: Result<&T, &E>) -> bool {
        self(result)
    }
}
