//! One thing that a node does, a step at a time: the world decides when a question reaches the
//! server, when its answer comes, and what happens in between.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use pitlane_core::{Incarnation, Timestamp};

use super::node::Node;
use super::redis::{Answer, Call};
use super::rules::Rule;
use super::spec::Spec;

/// What all nodes share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) without: Option<Rule>,
    pub(super) spec: RefCell<Spec>,
    pub(super) now: Cell<u64>,
    pub(super) numbers: Cell<u64>,
}

impl Shared {
    pub(super) fn lacks(&self, rule: Rule) -> bool {
        self.without == Some(rule)
    }

    pub(super) const fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get())
    }

    /// A number that nobody had before.
    pub(super) fn random(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        Incarnation::from_random(self.random())
    }
}

/// Where a task waits.
#[derive(Debug, Default)]
pub(super) enum Port {
    #[default]
    Running,
    /// A question is on its way.
    Sent(Call),
    /// The server has answered it.
    Executed(Answer),
    Answered(Answer),
    /// Other things may happen here.
    Paused,
    /// For its turn to catch up.
    Queued,
}

/// What a task is made of.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) shared: Rc<Shared>,
    pub(super) node: Rc<Node>,
    pub(super) port: Rc<RefCell<Port>>,
}

impl Task {
    pub(super) fn lacks(&self, rule: Rule) -> bool {
        self.shared.lacks(rule)
    }

    pub(super) async fn call(&self, call: Call) -> Answer {
        *self.port.borrow_mut() = Port::Sent(call);
        poll_fn(|_| {
            let mut port = self.port.borrow_mut();
            match std::mem::take(&mut *port) {
                Port::Answered(answer) => Poll::Ready(answer),
                other => {
                    *port = other;
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Lets other things happen.
    pub(super) async fn pause(&self) {
        self.wait(Port::Paused).await;
    }

    async fn wait(&self, port: Port) {
        *self.port.borrow_mut() = port;
        poll_fn(|_| match *self.port.borrow() {
            Port::Running => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
    }

    /// The turn to catch up, which one task of a node has at a time.
    pub(super) async fn turn(&self) -> Turn {
        while self.node.catching.get() {
            self.wait(Port::Queued).await;
        }
        self.node.catching.set(true);
        Turn(Rc::clone(&self.node))
    }
}

#[derive(Debug)]
pub(super) struct Turn(Rc<Node>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.catching.set(false);
    }
}

/// A task that is under way.
pub(super) struct Running {
    pub(super) port: Rc<RefCell<Port>>,
    work: Pin<Box<dyn Future<Output = ()>>>,
}

impl Running {
    /// Begins `work`, and runs it to its first step. `None` when it has ended.
    pub(super) fn begin<F: Future<Output = ()> + 'static>(
        shared: &Rc<Shared>,
        node: &Rc<Node>,
        work: impl FnOnce(Task) -> F,
    ) -> Option<Self> {
        let port = Rc::<RefCell<Port>>::default();
        let task = Task {
            shared: Rc::clone(shared),
            node: Rc::clone(node),
            port: Rc::clone(&port),
        };
        let work = Box::pin(work(task));
        Self { port, work }.go()
    }

    /// Runs to the next step. `None` when it has ended.
    pub(super) fn go(mut self) -> Option<Self> {
        let polled = self
            .work
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        polled.is_pending().then_some(self)
    }

    pub(super) fn step(self, port: Port) -> Option<Self> {
        *self.port.borrow_mut() = port;
        self.go()
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.port.fmt(f)
    }
}
