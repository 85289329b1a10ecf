//! What comes of a transition, and who may do it: one function each, called from [`Work::apply`] alone.

use super::{By, EmergencyAccess, Entry, Report, Request, Review, Round, Stage, Transition, Work};
use crate::authority::{Act, Refusal, may, may_act_for, may_consent, may_review};
use crate::error::PolicyError;
use crate::facts::{Period, Person};
use crate::id::PersonId;
use crate::words::Words;
use chrono::{DateTime, TimeDelta, Utc};

/// How far ahead the deadline of a retrospective approval may lie, in days.
const LONGEST_DEADLINE_DAYS: i64 = 7;
/// How far an extension may move the end of an occurrence past the planned one, in hours. More is a new request.
const LONGEST_EXTENSION_HOURS: i64 = 24;

impl Work {
    /// The work after `transition`, done by `by` at `now`. The work itself stays as it is; equal to it is only what a
    /// further beginning of work that goes on leaves.
    ///
    /// # Errors
    /// When the state does not allow it, the person may not do it, or the transition's own data is out of bounds.
    pub fn apply(&self, transition: Transition, by: By<'_>, now: DateTime<Utc>) -> Result<Self, PolicyError> {
        let verb = transition.verb();
        if transition.words().is_some_and(|words| words.trim().is_empty()) {
            return Err(self.invalid(
                verb,
                Words::new(
                    "理由または内容を言葉で書いてください。記録に必要です",
                    "say why or what, in words: the record needs it",
                ),
            ));
        }
        let (code, note) = (transition.code(), transition.words().map(str::to_owned));
        let begins = transition == Transition::Begin;
        let mut next = self.clone();
        if transition != Transition::End {
            next.end_overdue(now);
        }
        let by = next.step(transition, verb, by, now)?;
        // Who connects again while the work goes on changes nothing: sessions are on record themselves.
        if begins && next == *self {
            return Ok(next);
        }
        next.history.push(Entry { at: now, by, act: code.to_owned(), version: next.version, note });
        Ok(next)
    }

    fn step(
        &mut self,
        transition: Transition,
        verb: &'static str,
        by: By<'_>,
        now: DateTime<Utc>,
    ) -> Result<Option<PersonId>, PolicyError> {
        let person = match (by, &transition) {
            (By::Person(person), _) => person,
            (By::Gateway, Transition::End) => {
                self.end(verb, now)?;
                return Ok(None);
            }
            (By::Gateway, _) => return Err(Refusal::NotByGateway.into()),
        };
        match transition {
            Transition::Submit => self.submit(verb, person, now),
            Transition::Edit(request) => self.edit(verb, *request, person, now),
            Transition::Withdraw => self.withdraw(verb, person, now),
            Transition::Approve { attendance } => self.approve(verb, attendance, person, now),
            Transition::Reject { reason } => self.reject(verb, reason, person, now),
            Transition::Extend { until } => self.extend(verb, until, person, now),
            Transition::OpenEmergency { reason, deadline } => self.open_emergency(verb, reason, deadline, person, now),
            Transition::ApproveRetrospectively => self.approve_retrospectively(verb, person, now),
            Transition::RejectRetrospectively { reason } => self.reject_retrospectively(verb, reason, person, now),
            Transition::Begin => self.begin(verb, person, now),
            Transition::End => {
                may_act_for(person, &self.vendor)?;
                self.end(verb, now)
            }
            Transition::CutOff { reason } => self.cut_off(verb, reason, person, now),
            Transition::Report { text, personal_data, files } => {
                let report = Report { by: person.id.clone(), at: now, text, personal_data, files };
                self.report(verb, report, person, now)
            }
            Transition::Confirm { comment } => self.review(verb, comment, person, now, Round::take_review),
            Transition::SendBack { comment } => self.review(verb, comment, person, now, Round::send_back),
        }?;
        Ok(Some(person.id.clone()))
    }

    fn submit(&mut self, verb: &'static str, by: &Person, now: DateTime<Utc>) -> Result<(), PolicyError> {
        let author = may_act_for(by, &self.vendor)?;
        if self.stage != Stage::Draft {
            return Err(self.wrong_state(
                verb,
                now,
                Words::new(
                    "下書きだけが対象です。申請を編集すれば、あらためて提出できます",
                    "only a draft can; edit the request to put it forward anew",
                ),
            ));
        }
        self.check_time_left(verb, now)?;
        self.authors.insert(author.person().clone());
        self.stage = Stage::Requested;
        Ok(())
    }

    fn edit(
        &mut self,
        verb: &'static str,
        request: Request,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<(), PolicyError> {
        let author = may_act_for(by, &self.vendor)?;
        let stage = match &self.stage {
            Stage::Draft => Stage::Draft,
            Stage::Requested | Stage::Rejected { .. } | Stage::Approved { .. } => Stage::Requested,
            // An edit would wash the mark of the emergency off.
            Stage::Emergency { .. } => {
                return Err(self.wrong_state(
                    verb,
                    now,
                    Words::new(
                        "先に緊急アクセスを承認または却下してください",
                        "approve or reject the emergency access first",
                    ),
                ));
            }
            Stage::Withdrawn { .. } | Stage::CutOff { .. } => {
                return Err(self.wrong_state(
                    verb,
                    now,
                    Words::new("新しい作業として申請してください", "apply for new work"),
                ));
            }
        };
        request.check(&self.id)?;
        self.request = request;
        self.check_time_left(verb, now)?;
        self.end_working(now);
        self.stage = stage;
        self.version = self.version.saturating_add(1);
        self.authors.insert(author.person().clone());
        Ok(())
    }

    fn withdraw(&mut self, verb: &'static str, by: &Person, now: DateTime<Utc>) -> Result<(), PolicyError> {
        let author = may_act_for(by, &self.vendor)?;
        let waits = matches!(self.stage, Stage::Draft | Stage::Requested | Stage::Approved { .. });
        if !waits || self.rounds.iter().any(Round::is_working) {
            return Err(self.wrong_state(
                verb,
                now,
                Words::new(
                    "作業を終えて報告するか、病院に遮断を依頼してください",
                    "end and report the work, or have it cut off",
                ),
            ));
        }
        self.stage = Stage::Withdrawn { by: author.person().clone(), at: now };
        Ok(())
    }

    fn approve(
        &mut self,
        verb: &'static str,
        attendance: bool,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<(), PolicyError> {
        let authority = may_consent(by, Act::ApproveWork, self)?;
        if self.stage != Stage::Requested {
            return Err(self.wrong_state(
                verb,
                now,
                Words::new("判断を待っている申請だけが対象です", "only a request that waits for a decision can"),
            ));
        }
        self.check_time_left(verb, now)?;
        let by = authority.person().clone();
        self.stage = Stage::Approved { by, at: now, after: None, extension: None, attendance };
        Ok(())
    }

    fn reject(
        &mut self,
        verb: &'static str,
        reason: String,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<(), PolicyError> {
        let authority = may(by, Act::RejectWork)?;
        if self.stage != Stage::Requested {
            return Err(self.wrong_state(
                verb,
                now,
                Words::new(
                    "判断を待っている申請だけが対象です。承認済みの作業は遮断してください",
                    "only a request that waits can; cut approved work off instead",
                ),
            ));
        }
        self.stage = Stage::Rejected { by: authority.person().clone(), at: now, reason };
        Ok(())
    }

    fn extend(
        &mut self,
        verb: &'static str,
        until: DateTime<Utc>,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<(), PolicyError> {
        may_consent(by, Act::ExtendWork, self)?;
        let not_open = Words::new(
            "作業時間帯の間だけ行えます。それ以外では申請を編集してください",
            "its window must be open; otherwise edit the request",
        );
        let occurrence = self.occurrence_containing(now).ok_or_else(|| self.wrong_state(verb, now, not_open))?;
        if until <= occurrence.until {
            return Err(self.invalid(
                verb,
                Words::new("現在の終了時刻より後の時刻を指定してください", "give an end later than the present one"),
            ));
        }
        if until > self.planned_end(occurrence.from) + TimeDelta::hours(LONGEST_EXTENSION_HOURS) {
            return Err(self.invalid(
                verb,
                Words::new(
                    "延長は予定の終了から24時間までです。新しい作業として申請してください",
                    "24 hours past the planned end are the most: apply for new work",
                ),
            ));
        }
        let extended = Period { from: occurrence.from, until };
        match &mut self.stage {
            Stage::Approved { extension, .. } | Stage::Emergency { extension, .. } => *extension = Some(extended),
            _ => return Err(self.wrong_state(verb, now, not_open)),
        }
        for round in self.rounds.iter_mut().filter(|round| round.occurrence().from == occurrence.from) {
            round.extend(until);
        }
        Ok(())
    }

    fn open_emergency(
        &mut self,
        verb: &'static str,
        reason: String,
        deadline: DateTime<Utc>,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<(), PolicyError> {
        let authority = may(by, Act::OpenEmergency)?;
        if !matches!(self.stage, Stage::Draft | Stage::Requested) {
            return Err(self.wrong_state(
                verb,
                now,
                Words::new("下書きか、判断を待っている申請だけが対象です", "only a draft or a request that waits can"),
            ));
        }
        self.check_time_left(verb, now)?;
        if deadline <= now || deadline > now + TimeDelta::days(LONGEST_DEADLINE_DAYS) {
            return Err(self.invalid(
                verb,
                Words::new(
                    "事後承認の期限は、これから7日以内にしてください",
                    "let the approval be due in the future, within 7 days",
                ),
            ));
        }
        let opened_by = authority.person().clone();
        let access = EmergencyAccess { opened_by, opened_at: now, reason, deadline };
        self.stage = Stage::Emergency { access, extension: None };
        Ok(())
    }

    /// A late approval is taken, and the history shows that it was late.
    fn approve_retrospectively(
        &mut self,
        verb: &'static str,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<(), PolicyError> {
        let authority = may_consent(by, Act::ApproveWork, self)?;
        match self.stage.clone() {
            Stage::Emergency { access, extension } => {
                let by = authority.person().clone();
                self.stage = Stage::Approved { by, at: now, after: Some(access), extension, attendance: false };
            }
            Stage::CutOff { by, at, reason, awaiting: Some(_) } => {
                self.stage = Stage::CutOff { by, at, reason, awaiting: None };
            }
            _ => {
                return Err(self.wrong_state(
                    verb,
                    now,
                    Words::new(
                        "事後承認を待っている緊急アクセスだけが対象です",
                        "it is for emergency access that waits for approval",
                    ),
                ));
            }
        }
        Ok(())
    }

    fn reject_retrospectively(
        &mut self,
        verb: &'static str,
        reason: String,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<(), PolicyError> {
        let authority = may_consent(by, Act::RejectWork, self)?;
        self.stage = match self.stage.clone() {
            Stage::Emergency { .. } => {
                Stage::CutOff { by: authority.person().clone(), at: now, reason, awaiting: None }
            }
            Stage::CutOff { by, at, reason, awaiting: Some(_) } => Stage::CutOff { by, at, reason, awaiting: None },
            _ => {
                return Err(self.wrong_state(
                    verb,
                    now,
                    Words::new(
                        "事後承認を待っている緊急アクセスだけが対象です",
                        "it is for emergency access that waits for approval",
                    ),
                ));
            }
        };
        self.end_working(now);
        Ok(())
    }

    fn begin(&mut self, verb: &'static str, by: &Person, now: DateTime<Utc>) -> Result<(), PolicyError> {
        may_act_for(by, &self.vendor)?;
        let granted = matches!(self.stage, Stage::Approved { .. } | Stage::Emergency { .. });
        let occurrence = self.occurrence_containing(now).filter(|_| granted);
        let Some(occurrence) = occurrence else {
            return Err(self.wrong_state(
                verb,
                now,
                Words::new(
                    "承認済みで、作業時間帯の間でなければなりません",
                    "it must be approved, and its window open",
                ),
            ));
        };
        if !self.request.persons.contains(&by.id) {
            return Err(self.invalid(
                verb,
                Words::new(
                    "申請にこの利用者が含まれていません。申請を編集してください",
                    "the request does not name this person: edit it",
                ),
            ));
        }
        let round = self.rounds.iter_mut().find(|round| round.occurrence().from == occurrence.from);
        let begun = match round {
            Some(round) => round.resume(by.id.clone()),
            None => {
                self.rounds.push(Round::begin(occurrence, by.id.clone(), now));
                true
            }
        };
        if begun {
            Ok(())
        } else {
            Err(self.wrong_state(
                verb,
                now,
                Words::new(
                    "すでに報告されています。新しい作業として申請してください",
                    "it was reported already: apply for new work",
                ),
            ))
        }
    }

    fn end(&mut self, verb: &'static str, now: DateTime<Utc>) -> Result<(), PolicyError> {
        if !self.rounds.iter().any(Round::is_working) {
            return Err(self.wrong_state(verb, now, Words::new("進行中の作業がありません", "no work is going on")));
        }
        self.end_working(now);
        Ok(())
    }

    fn cut_off(
        &mut self,
        verb: &'static str,
        reason: String,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<(), PolicyError> {
        let authority = may(by, Act::CutOff)?;
        let awaiting = match &self.stage {
            Stage::Approved { .. } => None,
            Stage::Emergency { access, .. } => Some(access.clone()),
            _ => {
                return Err(self.wrong_state(
                    verb,
                    now,
                    Words::new(
                        "承認済みの作業か緊急アクセスだけが対象です",
                        "only approved work or emergency access can",
                    ),
                ));
            }
        };
        self.end_working(now);
        self.stage = Stage::CutOff { by: authority.person().clone(), at: now, reason, awaiting };
        Ok(())
    }

    fn report(
        &mut self,
        verb: &'static str,
        report: Report,
        by: &Person,
        now: DateTime<Utc>,
    ) -> Result<(), PolicyError> {
        may_act_for(by, &self.vendor)?;
        self.end_working(now);
        let taken = self.rounds.iter_mut().any(|round| round.take_report(report.clone()));
        if taken {
            Ok(())
        } else {
            Err(self.wrong_state(
                verb,
                now,
                Words::new("報告を待っている作業がありません", "nothing was done that lacks a report"),
            ))
        }
    }

    fn review(
        &mut self,
        verb: &'static str,
        comment: String,
        by: &Person,
        now: DateTime<Utc>,
        take: fn(&mut Round, Review) -> bool,
    ) -> Result<(), PolicyError> {
        let authority = may_review(by, self)?;
        let review = Review { by: authority.person().clone(), at: now, comment };
        let taken = self.rounds.iter_mut().any(|round| take(round, review.clone()));
        if taken {
            Ok(())
        } else {
            Err(self.wrong_state(
                verb,
                now,
                Words::new("確認を待っている報告がありません", "no report waits for a review"),
            ))
        }
    }

    /// What ended with its occurrence while nobody was looking is written down with the next thing that happens.
    fn end_overdue(&mut self, now: DateTime<Utc>) {
        for round in self.rounds.iter_mut().filter(|round| round.occurrence().until <= now) {
            round.end(now);
        }
    }

    fn end_working(&mut self, now: DateTime<Utc>) {
        for round in self.rounds.iter_mut().filter(|round| round.is_working()) {
            round.end(now);
        }
    }

    /// The end of the occurrence that begins at `from`, without extensions: they do not add up.
    fn planned_end(&self, from: DateTime<Utc>) -> DateTime<Utc> {
        let planned = self.request.window.occurrences().iter().find(|period| period.from == from);
        planned.map_or(from, |period| period.until)
    }

    fn check_time_left(&self, verb: &'static str, now: DateTime<Utc>) -> Result<(), PolicyError> {
        if self.last_end() <= now {
            return Err(self.invalid(
                verb,
                Words::new(
                    "作業時間帯が過ぎています。申請を編集して、後の時間帯を指定してください",
                    "its window is over: edit the request and give a later one",
                ),
            ));
        }
        Ok(())
    }

    fn wrong_state(&self, act: &'static str, now: DateTime<Utc>, remedy: Words) -> PolicyError {
        PolicyError::WrongState { work: self.id.clone(), act, state: self.state_at(now), remedy }
    }

    fn invalid(&self, act: &'static str, fault: Words) -> PolicyError {
        PolicyError::InvalidTransition { work: self.id.clone(), act, fault }
    }
}
