//! Fills, writers and readers around one entry: what an acknowledged invalidation ended is never
//! fresh again.

use loom::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use pitlane_core::{Basis, Incarnation, Judgement, Log, Mark, Stamp, TagId, TagKind};

use crate::{Shared, model};

#[test]
fn an_invalidation_that_lands_while_the_handler_runs_is_never_lost() {
    check_fill_against_write(Noted::BeforeTheHandler, HARD);
    check_fill_against_write(Noted::BeforeTheHandler, SOFT);
}

#[test]
#[should_panic(expected = "a value from before the invalidation is fresh")]
fn a_position_taken_after_the_handler_is_caught() {
    check_fill_against_write(Noted::AfterTheHandler, HARD);
}

#[test]
#[should_panic(expected = "a value from before the invalidation is fresh")]
fn a_generation_taken_at_the_insert_is_caught() {
    check_fill_against_write(Noted::GenerationAtInsert, HARD);
}

#[test]
fn promoting_an_entry_never_hides_an_invalidation_that_races_with_it() {
    check_promotion_against_write(HARD);
    check_promotion_against_write(SOFT);
}

#[test]
fn two_appends_at_once_never_take_the_generation_back() {
    model(|| {
        let world = World::shared();
        let unrelated = world.run(|world| {
            world.log.append([Mark {
                tag: world.other,
                soft: false,
            }]);
        });
        let writer = world.run(|world| world.write(HARD));
        world.fill(Noted::BeforeTheHandler);
        unrelated.join().unwrap();
        writer.join().unwrap();
        world.fresh_is_new();
        // The generation that readers see without the lock is the table's own in the end.
        assert_eq!(world.log.basis().generation, Some(world.log.generation()));
    });
}

#[test]
fn a_hit_by_generation_alone_is_never_stale_after_the_acknowledgement() {
    model(|| {
        let world = World::shared();
        let filler = world.run(|world| world.fill(Noted::BeforeTheHandler));
        let reader = world.run(World::look);
        world.write(HARD);
        if let Some(entry) = world.entry()
            && entry.stamp.basis().generation == Some(world.log.generation())
        {
            assert_eq!(entry.value, NEW, "a hit by generation is stale");
        }
        filler.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn nothing_made_before_a_renewal_is_usable_after_it() {
    model(|| {
        let world = World::shared();
        world.fill(Noted::BeforeTheHandler);
        let reader = world.run(World::look);
        world.log.renew(Incarnation::from_random(2));
        assert!(matches!(world.judge(), Some(Judgement::Unusable(_))));
        reader.join().unwrap();
        assert!(matches!(world.judge(), Some(Judgement::Unusable(_))));
    });
}

#[track_caller]
fn check_fill_against_write(noted: Noted, soft: bool) {
    model(move || {
        let world = World::shared();
        let filler = world.run(move |world| world.fill(noted));
        world.write(soft);
        world.fresh_is_new();
        filler.join().unwrap();
        world.fresh_is_new();
        // And not because nothing is ever fresh.
        world.fill(Noted::BeforeTheHandler);
        assert_eq!(world.judge(), Some(Judgement::Fresh));
    });
}

#[track_caller]
fn check_promotion_against_write(soft: bool) {
    model(move || {
        let world = World::shared();
        world.fill(Noted::BeforeTheHandler);
        let reader = world.run(World::look);
        let unrelated = world.run(|world| {
            world.log.append([Mark {
                tag: world.other,
                soft: false,
            }]);
            world.look();
        });
        world.write(soft);
        world.fresh_is_new();
        reader.join().unwrap();
        unrelated.join().unwrap();
        // Twice: a stale entry that were promoted would pass the second time.
        world.fresh_is_new();
        world.fresh_is_new();
    });
}

const HARD: bool = false;
const SOFT: bool = true;
/// What the origin holds after the one write.
const NEW: u64 = 1;

/// When a fill notes where it stands: the right way, and two wrong ones as a control that the
/// models see the difference.
#[derive(Clone, Copy)]
enum Noted {
    BeforeTheHandler,
    AfterTheHandler,
    GenerationAtInsert,
}

struct World {
    log: Log,
    tag: TagId,
    other: TagId,
    /// Relaxed throughout: it is the log that has to order a read after a write.
    origin: AtomicU64,
    entry: Mutex<Option<Arc<Entry>>>,
}

struct Entry {
    value: u64,
    stamp: Stamp,
}

impl World {
    fn shared() -> Shared<Self> {
        let log = Log::new(Incarnation::from_random(1), 10);
        Shared::new(Self {
            tag: log.tag_id(TagKind::Tag, "tag"),
            other: log.tag_id(TagKind::Tag, "other"),
            log,
            origin: AtomicU64::new(0),
            entry: Mutex::new(None),
        })
    }

    fn fill(&self, noted: Noted) {
        let before = self.log.basis();
        let value = self.origin.load(Relaxed);
        let basis = match noted {
            Noted::BeforeTheHandler => before,
            Noted::AfterTheHandler => self.log.basis(),
            Noted::GenerationAtInsert => Basis {
                generation: self.log.basis().generation,
                ..before
            },
        };
        let stamp = Stamp::new(basis);
        *self.entry.lock().unwrap() = Some(Arc::new(Entry { value, stamp }));
    }

    fn write(&self, soft: bool) {
        self.origin.store(NEW, Relaxed);
        self.log.append([Mark {
            tag: self.tag,
            soft,
        }]);
    }

    fn entry(&self) -> Option<Arc<Entry>> {
        self.entry.lock().unwrap().clone()
    }

    fn judge(&self) -> Option<Judgement> {
        let entry = self.entry()?;
        Some(entry.stamp.judge(&self.log, &[self.tag]))
    }

    /// What a reader does whose answer may be of either side of the write.
    fn look(&self) {
        self.judge();
    }

    /// What a reader may expect who begins after the acknowledged invalidation.
    #[track_caller]
    fn fresh_is_new(&self) {
        let Some(entry) = self.entry() else { return };
        if entry.stamp.judge(&self.log, &[self.tag]) == Judgement::Fresh {
            assert_eq!(
                entry.value, NEW,
                "a value from before the invalidation is fresh"
            );
        }
    }
}
