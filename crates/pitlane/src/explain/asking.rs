use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Extensions, Method, Request};

use super::{explanation::Explanation, tale::Tale};
use crate::{
    cache::Cache,
    error::{Error, ErrorKind},
};

/// More layers than a request comes through.
const MOST_LAYERS: usize = 64;

/// How many inquiries there are in the process. While there is none, which is nearly always, no
/// request has to be looked at.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Marks requests whose answers are to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Asking;

impl Asking {
    /// Marks a request. The mark is an extension, so it can come from nowhere but this process.
    ///
    /// Send the request through the application, read the answer's body to its end (no further than
    /// you would read any answer), and ask what is handed back here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Explain`] for every method but GET and HEAD: others may change something, and to
    /// explain must not.
    pub fn mark<B>(mut request: Request<B>) -> Result<(Request<B>, Asked), Error> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let message = "only GET and HEAD can be explained: another method may change something";
            return Err(Error::new(ErrorKind::Explain, message));
        }
        let inquiry = Inquiry::begin(false);
        request.extensions_mut().insert(inquiry.clone());
        Ok((request, Asked { inquiry }))
    }
}

/// Marks a request whose handler only pretends: it may have any method.
pub(super) fn pretend<B>(mut request: Request<B>) -> (Request<B>, Asked) {
    let inquiry = Inquiry::begin(true);
    request.extensions_mut().insert(inquiry.clone());
    (request, Asked { inquiry })
}

/// What was asked, and by and by the answers.
#[must_use = "it holds the explanations"]
pub struct Asked {
    inquiry: Inquiry,
}

impl Asked {
    /// An explanation by each cache layer that the request came to, the outermost first; none by
    /// layers that have not answered.
    ///
    /// What becomes of an answer's body is known once it was read: before that, its entry isn't.
    #[must_use]
    pub fn explanations(&self) -> Vec<Explanation> {
        let asked = self.inquiry.lock();
        let told = asked.iter();
        told.filter_map(|(tale, shadow)| tale.end(shadow)).collect()
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("layers", &self.inquiry.lock().len())
            .finish_non_exhaustive()
    }
}

/// The mark itself: where each layer leaves its tale.
#[derive(Clone)]
pub(crate) struct Inquiry(Arc<Answers>);

struct Answers {
    /// Nothing is changed, whatever the method.
    pretends: bool,
    told: Mutex<Vec<(Arc<Tale>, Cache)>>,
}

impl Inquiry {
    fn begin(pretends: bool) -> Self {
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        let told = Mutex::default();
        Self(Arc::new(Answers { pretends, told }))
    }

    /// The inquiry that a request belongs to.
    ///
    /// What may change something is none's, even if something has made it of a request that was
    /// marked: it is done with all that follows from it.
    #[inline]
    pub(crate) fn of<'a>(extensions: &'a Extensions, method: &Method) -> Option<&'a Self> {
        if UNDER_WAY.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let safe = matches!(*method, Method::GET | Method::HEAD);
        extensions
            .get()
            .filter(|inquiry: &&Self| safe || inquiry.0.pretends)
    }

    /// Takes in the tale of one more layer, told in this shadow of its cache.
    pub(crate) fn listen(&self, tale: &Arc<Tale>, shadow: &Cache) {
        let mut told = self.lock();
        if told.len() < MOST_LAYERS {
            told.push((Arc::clone(tale), shadow.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Arc<Tale>, Cache)>> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inquiry").finish_non_exhaustive()
    }
}

/// Whether a request only asks why.
#[cfg(feature = "metrics")]
pub(crate) fn is_marked(request: &http::request::Parts) -> bool {
    Inquiry::of(&request.extensions, &request.method).is_some()
}
