//! The faults at work: which of them strikes a request, and how often each has.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acr_protocol::auth::{ExchangeEntraToken, RequestAccessToken, RequestAccessTokenWithLogin};
use acr_protocol::repository::{ListRepositories, ListRepositoryNames};
use acr_protocol::{Operation as _, OperationClass, Ping, RepositoryName, Route};

use super::action::{Candidate, FaultAction, FaultError, Requirement};
use super::{Fault, Target};
use crate::random;

/// A [`Fault`] that was injected: tells how often it has struck, and takes it back.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    faults: Arc<Faults>,
    fault: Arc<ActiveFault>,
}

impl FaultHandle {
    pub(super) fn new(faults: &Arc<Faults>, fault: ActiveFault) -> Self {
        let fault = Arc::new(fault);
        faults.add(fault.clone());
        Self {
            faults: faults.clone(),
            fault,
        }
    }

    /// How many requests it has struck.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.fault.struck.load(Ordering::Relaxed)
    }

    /// Removes the fault; the others stay. It still tells how often it has struck.
    pub fn remove(&self) {
        self.faults.remove(&self.fault);
    }
}

/// All faults of a registry, in the order they were injected.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    list: Mutex<Vec<Arc<ActiveFault>>>,
    /// How long the list is, for a look without the lock: without faults nothing else is done.
    count: AtomicUsize,
}

impl Faults {
    /// What becomes of this request, if a fault strikes it.
    pub(crate) fn take_match(&self, candidate: &Candidate<'_>) -> Option<FaultAction> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut list = self.list();
        let mut meetings = list.iter().enumerate();
        let (at, action) = meetings.find_map(|(at, fault)| Some((at, fault.meet(candidate)?)))?;
        if list.get(at).is_some_and(|fault| fault.is_spent()) {
            list.remove(at);
            self.count.store(list.len(), Ordering::Relaxed);
        }
        Some(action)
    }

    pub(super) fn clear(&self) {
        self.change(Vec::clear);
    }

    fn add(&self, fault: Arc<ActiveFault>) {
        if !fault.is_spent() {
            self.change(|list| list.push(fault));
        }
    }

    fn remove(&self, fault: &Arc<ActiveFault>) {
        self.change(|list| list.retain(|other| !Arc::ptr_eq(other, fault)));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<ActiveFault>>)) {
        let mut list = self.list();
        change(&mut list);
        self.count.store(list.len(), Ordering::Relaxed);
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<ActiveFault>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fault that was checked, and its counts. They change only while the list is locked.
#[derive(Debug)]
pub(super) struct ActiveFault {
    fault: Fault,
    repository: Option<RepositoryName>,
    matched: AtomicU64,
    struck: AtomicU64,
}

impl ActiveFault {
    pub(super) fn new(fault: Fault) -> Result<Self, FaultError> {
        let target = &fault.target;
        if let Target::Operation(name) = target
            && !Route::NAMES.contains(&name.as_str())
        {
            let name = name.clone();
            return Err(FaultError::UnknownOperation { name });
        }
        let unfit = |what| FaultError::Unfit {
            what,
            target: target.text(),
        };
        let repository = fault.repository.as_ref().map(RepositoryName::new);
        let repository = repository.transpose()?;
        if repository.is_some() && !target.names_repositories() {
            return Err(unfit("repository in its path"));
        }
        if !(0.0..=1.0).contains(&fault.share) {
            return Err(FaultError::Share { share: fault.share });
        }
        if fault.actions.is_empty() {
            return Err(FaultError::NoAction);
        }
        for action in &fault.actions {
            if let Some(need) = action.need().filter(|need| !target.meets(need)) {
                return Err(unfit(need.what));
            }
            if let FaultAction::Respond(refuse) = action {
                refuse.check(matches!(target, Target::Data), unfit)?;
            }
        }
        Ok(Self {
            fault,
            repository,
            matched: AtomicU64::new(0),
            struck: AtomicU64::new(0),
        })
    }

    /// Counts the request if it matches; what becomes of it if it is struck.
    fn meet(&self, candidate: &Candidate<'_>) -> Option<FaultAction> {
        let struck = self.struck.load(Ordering::Relaxed);
        let turn = struck.checked_rem(self.fault.actions.len() as u64)?;
        let action = *self.fault.actions.get(usize::try_from(turn).ok()?)?;
        if !self.matches(candidate) || !action.fits(candidate) {
            return None;
        }
        let matched = self.matched.fetch_add(1, Ordering::Relaxed);
        let number = matched.checked_sub(self.fault.after)?;
        if !self.picks(number) {
            return None;
        }
        self.struck.store(struck + 1, Ordering::Relaxed);
        Some(action)
    }

    fn matches(&self, candidate: &Candidate<'_>) -> bool {
        let Candidate::Operation { route, authorised } = candidate else {
            return matches!(self.fault.target, Target::Data);
        };
        let is_target = match &self.fault.target {
            Target::Operation(name) => name == route.name(),
            Target::Class(class) => *class == route.spec().class,
            Target::AnyOperation => true,
            Target::Data => false,
        };
        let is_there = self.repository.is_none() || self.repository.as_ref() == route.repository();
        is_target && is_there && (*authorised || self.fault.before_credentials)
    }

    /// Whether the share holds the match of this number.
    fn picks(&self, number: u64) -> bool {
        let random = random::mix(
            self.fault
                .seed
                .wrapping_add(number.wrapping_mul(random::STEP)),
        );
        // The 53 bits that a float holds exactly, as a number from 0 up to, but not, 1.
        let random = (random >> 11) as f64 / (1_u64 << 53) as f64;
        random < self.fault.share
    }

    fn is_spent(&self) -> bool {
        let times = self.fault.times;
        times.is_some_and(|times| self.struck.load(Ordering::Relaxed) >= times)
    }
}

impl Target {
    /// Whether a request of it may name a repository in its path.
    fn names_repositories(&self) -> bool {
        match self {
            Self::Operation(name) => !WITHOUT_REPOSITORY.contains(&name.as_str()),
            Self::Class(class) => *class != OperationClass::Token,
            Self::AnyOperation => true,
            Self::Data => false,
        }
    }

    /// Whether a request of it may have this.
    fn meets(&self, need: &Requirement) -> bool {
        match self {
            Self::Operation(name) => need.is_met_by(name),
            Self::Class(class) => need.is_met_in(*class),
            Self::AnyOperation => true,
            Self::Data => need.at_data,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Operation(name) => format!("the operation {name}"),
            Self::Class(class) => format!("the class {class:?}"),
            Self::AnyOperation => "an operation of the registry".to_owned(),
            Self::Data => "the data origin".to_owned(),
        }
    }
}

/// The operations that are not about one repository.
const WITHOUT_REPOSITORY: [&str; 6] = [
    Ping::SPEC.name,
    ListRepositories::SPEC.name,
    ListRepositoryNames::SPEC.name,
    ExchangeEntraToken::SPEC.name,
    RequestAccessToken::SPEC.name,
    RequestAccessTokenWithLogin::SPEC.name,
];
