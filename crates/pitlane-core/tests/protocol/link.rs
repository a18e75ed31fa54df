//! A node's link to the log: the questions that `pitlane-redis` asks, in its order, with a step of
//! the world wherever it waits. A read catches up by itself here; there one task does it for all,
//! so more orders are possible here than there.

use pitlane_core::{
    Caught, Incarnation, LogId, Logged, Record, Remembered, TagId, Timestamp, Watermark,
};

use super::redis::{Answer, Batch, Call, Expected};
use super::rules::Rule;
use super::task::Task;

const MAX_STEPS: usize = 8;

/// Nobody knows whether the log was reached.
#[derive(Debug)]
pub(super) struct Unknown;

impl Task {
    /// One round of the keeper.
    pub(super) async fn keep(self) {
        let healthy = self.beat().await.is_ok();
        self.node.healthy.set(healthy);
    }

    async fn beat(&self) -> Result<(), Unknown> {
        let Some(watermark) = self.node.log.watermark() else {
            self.join(None).await?;
            return self.pay().await;
        };
        match self.call(Call::Check(watermark.incarnation())).await {
            Answer::Checked(tail) => {
                let lost = !tail.covers(&watermark);
                if lost || !self.node.covers(&tail) {
                    self.catch_up(tail, lost).await?;
                }
            }
            refused => self.rejoin(watermark.incarnation(), refused).await?,
        }
        self.pay().await
    }

    async fn catch_up(&self, tail: Watermark, lost: bool) -> Result<(), Unknown> {
        let _turn = self.turn().await;
        for _ in 0..MAX_STEPS {
            let before = self.node.log.watermark().ok_or(Unknown)?;
            if before.covers(&tail) && !lost {
                return Ok(());
            }
            self.node.catch_ups.set(self.node.catch_ups.get() + 1);
            let incarnation = before.incarnation();
            match self.call(Call::Records(incarnation, before.id())).await {
                Answer::Records(batch) => {
                    if self.advance(before, &batch).await? {
                        return Ok(());
                    }
                }
                refused => return self.rejoin(incarnation, refused).await,
            }
        }
        Err(Unknown)
    }

    async fn advance(&self, before: Watermark, batch: &Batch) -> Result<bool, Unknown> {
        let caught = self.apply(&batch.records);
        let now = self.node.log.watermark().ok_or(Unknown)?;
        if caught == Caught::Up && now.covers(&batch.tail) && batch.tail.covers(&before) {
            if self.node.log.has_lost_own(batch.first) {
                self.renew(Expected::This(before.incarnation())).await?;
            }
            return Ok(true);
        }
        if now != before {
            return Ok(false);
        }
        if batch.first > before.id() && batch.tail.covers(&before) {
            self.join_behind_gap(before, batch.tail);
            return Ok(true);
        }
        self.renew(Expected::This(before.incarnation())).await?;
        Ok(true)
    }

    fn join_behind_gap(&self, before: Watermark, tail: Watermark) {
        if self.lacks(Rule::GapJoins) {
            let skip = Logged {
                at: tail,
                previous: before.nonce,
                record: Record::default(),
            };
            let _ = self.node.log.follow([&skip]);
        } else {
            self.joined(tail);
        }
    }

    async fn rejoin(&self, known: Incarnation, refused: Answer) -> Result<(), Unknown> {
        match refused {
            Answer::Other(other) => self.join(Some(other)).await,
            Answer::Over => self.renew(Expected::This(known)).await,
            _ => Err(Unknown),
        }
    }

    async fn join(&self, hint: Option<Incarnation>) -> Result<(), Unknown> {
        let hint = match hint {
            Some(hint) => Some(hint),
            None => match self.call(Call::Hint).await {
                Answer::Hint(hint) => hint,
                _ => return Err(Unknown),
            },
        };
        let Some(incarnation) = hint else {
            return self.renew(Expected::Nothing).await;
        };
        match self.call(Call::Check(incarnation)).await {
            Answer::Checked(tail) => {
                self.joined(tail);
                Ok(())
            }
            Answer::Over => self.renew(Expected::This(incarnation)).await,
            _ => Err(Unknown),
        }
    }

    async fn renew(&self, mut expected: Expected) -> Result<(), Unknown> {
        for _ in 0..MAX_STEPS {
            let fresh = self.shared.incarnation();
            let nonce = self.shared.random();
            let other = match self.call(Call::Renew(fresh, expected, nonce)).await {
                Answer::Checked(tail) => {
                    self.joined(tail);
                    return Ok(());
                }
                Answer::Other(other) => other,
                _ => return Err(Unknown),
            };
            match self.call(Call::Check(other)).await {
                Answer::Checked(tail) => {
                    self.joined(tail);
                    return Ok(());
                }
                Answer::Over => expected = Expected::This(other),
                Answer::Other(_) => {}
                _ => return Err(Unknown),
            }
        }
        Err(Unknown)
    }

    fn joined(&self, tail: Watermark) {
        let now = if self.lacks(Rule::AppendAgain) {
            // Nothing is recent by then.
            Timestamp::from_millis(u64::MAX)
        } else {
            self.shared.now()
        };
        self.node.log.join(tail, now);
        self.node.wrong.borrow_mut().forget();
    }

    async fn pay(&self) -> Result<(), Unknown> {
        if self.node.log.has_overflowed() {
            let until = self.node.log.begin_renewal();
            let renewed = self.renew(Expected::Whatever).await;
            self.node.log.end_renewal(until, renewed.is_ok());
            renewed?;
        }
        while let Some(debt) = self.node.log.debt() {
            let watermark = self.node.log.watermark().ok_or(Unknown)?;
            let (incarnation, nonce) = (watermark.incarnation(), self.shared.random());
            let record = (*debt.record).clone();
            match self.call(Call::Append(incarnation, nonce, record)).await {
                Answer::Appended(logged) => {
                    if !self.appended(&logged, Some(debt.local)) {
                        return Err(Unknown);
                    }
                    if !self.node.covers(&logged.at) {
                        self.catch_up(logged.at, false).await?;
                    }
                }
                refused => self.rejoin(incarnation, refused).await?,
            }
        }
        Ok(())
    }

    /// One reading of the follower.
    pub(super) async fn follow(self) {
        let Some(watermark) = self.node.log.watermark() else {
            return;
        };
        if let Answer::Followed(records) = self.call(Call::Follow(watermark.id())).await {
            let _ = self.apply(&records);
        }
    }

    /// Appends an invalidation for a caller who waits.
    pub(super) async fn append(self, record: Record) {
        let watermark = self.node.log.watermark();
        let Some(watermark) = watermark.filter(|_| self.node.healthy.get()) else {
            self.node.owe(&self.shared, record);
            return;
        };
        let mut owing = Owing {
            task: &self,
            record: Some(record.clone()),
        };
        let (incarnation, nonce) = (watermark.incarnation(), self.shared.random());
        let side = self.node.side();
        let answer = self.call(Call::Append(incarnation, nonce, record)).await;
        let Answer::Appended(logged) = answer else {
            return;
        };
        if !self.appended(&logged, None) {
            return;
        }
        if let Some(record) = owing.record.take() {
            self.node.promised(&record);
            let everywhere = side.is_some() && side == self.node.side();
            self.node.acknowledge(&self.shared, &record, everywhere);
        }
    }

    fn appended(&self, logged: &Logged, debt: Option<u64>) -> bool {
        let mut logged = logged.clone();
        if self.lacks(Rule::OwnIsNext)
            && let Some(known) = self.node.log.watermark()
        {
            logged.previous = known.nonce;
        }
        let current = self.node.log.appended(&logged, debt, self.shared.now());
        if current {
            self.node.applied(&logged);
        }
        current
    }

    fn apply(&self, records: &[Logged]) -> Caught {
        for logged in records {
            let mut logged = logged.clone();
            let known = self.node.log.watermark();
            if self.lacks(Rule::Linked)
                && let Some(known) = known
            {
                logged.previous = known.nonce;
            }
            if self.node.log.follow([&logged]) == Caught::Gap {
                return Caught::Gap;
            }
            if known.is_some_and(|known| known.id() < logged.at.id()) {
                self.node.applied(&logged);
            }
        }
        Caught::Up
    }

    /// Brings the node up to everything that was in the log when this was called; `before` is
    /// what it knew when the read began.
    pub(super) async fn confirm(&self, before: Option<Watermark>) -> Result<(), Unknown> {
        let before = before.filter(|_| self.node.healthy.get()).ok_or(Unknown)?;
        let tail = self.tail().await?;
        let lost = tail.incarnation() == before.incarnation() && !tail.covers(&before);
        if lost || !self.node.covers(&tail) {
            self.catch_up(tail, lost).await?;
        }
        Ok(())
    }

    async fn tail(&self) -> Result<Watermark, Unknown> {
        let known = self.node.log.watermark().ok_or(Unknown)?;
        let last = self.node.wrong.borrow().tail;
        if self.lacks(Rule::TailAfterBegin)
            && let Some(tail) = last.filter(|tail| *tail == known)
        {
            return Ok(tail);
        }
        match self.call(Call::Tail(known.incarnation())).await {
            Answer::Tail(Some(tail)) => {
                self.node.wrong.borrow_mut().tail = Some(tail);
                Ok(tail)
            }
            Answer::Failed => Err(Unknown),
            _ => {
                self.node.healthy.set(false);
                Err(Unknown)
            }
        }
    }

    /// Asks what the log remembers of `tags`.
    pub(super) async fn ask(&self, tags: &[TagId]) -> Result<(), Unknown> {
        let epoch = self.node.log.epoch();
        let incarnation = self.node.log.watermark().ok_or(Unknown)?.incarnation();
        let answer = self.call(Call::Rows(incarnation, tags.to_vec())).await;
        let Answer::Rows(rows) = answer else {
            return Err(Unknown);
        };
        let mut remembered = Remembered {
            epoch,
            incarnation: rows.incarnation,
            floor: rows.floor,
            tags: rows.tags,
        };
        if self.lacks(Rule::AnswerOfEpoch) {
            remembered.epoch = self.node.log.epoch();
        }
        if self.lacks(Rule::Floor) {
            remembered.floor = LogId::ZERO;
        }
        let counted = self.node.log.learn(&remembered);
        if counted {
            self.node.answered(&remembered);
        }
        counted.then_some(()).ok_or(Unknown)
    }
}

/// Until the log has acknowledged it an invalidation is owed, whoever leaves.
struct Owing<'a> {
    task: &'a Task,
    record: Option<Record>,
}

impl Drop for Owing<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            self.task.node.owe(&self.task.shared, record);
        }
    }
}
