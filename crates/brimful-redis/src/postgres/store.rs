//! [`PostgresStore`]: buckets in a PostgreSQL database.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::Type;
use tokio_postgres::{Config, NoTls, Socket};

use super::link::{Connecting, Link, Live, Report, Sign};
use super::request;
use crate::engine::{Outcome, Request, Store, StoreError};

/// The decisions after which a sweep is made. If one is on its way then, the next one looks at as many more rows.
const CALLS: u64 = 256;

/// The rows that a sweep looks at for each decision, and the most of one sweep. With two rows, it gains on rows that come.
const ROWS: u64 = 2;
const MOST_ROWS: u64 = 8_192;

/// The longest time for a sweep.
const SWEEPING: Duration = Duration::from_secs(5);

/// The settings of a session.
///
/// With *read committed*, each statement of the function sees what others have committed before it, whatever the database's
/// default is. A call does not wait longer than a second for a lock, such as that of a backup tool.
const SESSION: &str = "SET default_transaction_isolation = 'read committed'; SET lock_timeout = '1s'";

/// Migrations of several processes at the same time come one after the other.
const LOCK: &str = "SET LOCAL lock_timeout = '30s'; SELECT pg_advisory_xact_lock(7091323317420093804)";

/// Buckets in a PostgreSQL database.
///
/// A decision is one call of a function in the database, in one transaction, by the server's clock. Requests of all tasks
/// share one connection, and are pipelined: none waits for the reply to another. A connection that is lost is made anew, by
/// one task at a time, and so is one on which three requests in a row had no answer by their deadlines.
///
/// [`migrate`](PostgresStore::migrate) creates the table and the function, in the first schema of the session's
/// `search_path`. The program's role needs the right to use them, and to read and write the table. A pooler between the
/// store and the server has to keep sessions (`pool_mode = session` of PgBouncer).
///
/// # Crashes
///
/// By default, a decision does not wait for the disk (`synchronous_commit = off`). If the server crashes, it may forget the
/// decisions of the last moment, three times `wal_writer_delay` or 0.6 s at most, and grants those tokens once more. No
/// bucket starts anew. With [`sync_commits`](PostgresStoreBuilder::sync_commits) nothing is granted twice.
///
/// # Size
///
/// A row is deleted when its buckets are full again, or when its request need no longer be remembered. For that, decisions
/// make sweeps in the background, some hundreds of them one sweep, which looks at two rows for each decision, in the order of
/// the keys. So the rows that are not in use are about as many as those that are, and a program that decides nothing deletes
/// nothing; [`sweep`](PostgresStore::sweep) does it by hand.
///
/// # Examples
///
/// ```no_run
/// use brimful::Quota;
/// use brimful_redis::{FailurePolicy, PostgresStore, RedisRateLimiter};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::connect("postgresql://limits@127.0.0.1/app").await?;
/// store.migrate().await?;
/// let limiter = RedisRateLimiter::<str>::builder(Quota::per_second(100).burst(200))
///     .prefix("api")
///     .on_failure(FailurePolicy::LocalShare(3))
///     .build(store)?;
/// limiter.try_acquire("alice").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    link: Link,
    /// The decisions since the last sweep. Relaxed: only the number counts.
    calls: AtomicU64,
    /// The last row that was looked at. Locked by the one sweep.
    swept: Arc<Mutex<(Vec<u8>, Vec<u8>)>>,
}

impl PostgresStore {
    /// The statements that create the table and the function, for a tool that migrates databases. They can be run again.
    pub const SCHEMA: &str = request::SCHEMA;

    /// Connects to a server without TLS, such as `postgresql://user@127.0.0.1/database`.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is malformed, or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let config = url.parse::<Config>().map_err(|error| StoreError::new(false, error))?;
        Self::builder(config).connect(NoTls).await
    }

    /// Returns a builder of a store with a configuration of the crate `tokio-postgres`, such as one with several hosts and
    /// `target_session_attrs=read-write`.
    pub fn builder(config: Config) -> PostgresStoreBuilder {
        PostgresStoreBuilder { config, syncs: false }
    }

    /// Creates the table and the function, unless they are there. Several processes may do so at the same time.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be reached, or if the role must not create them.
    ///
    /// # Cancel safety
    ///
    /// If the call is dropped, everything may have been created, or nothing.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let live = self.inner.link.get().await?;
        // One message with several statements is one transaction.
        live.client.batch_execute(&format!("{LOCK}; {}", Self::SCHEMA)).await.map_err(request::failure)
    }

    /// Looks at the next `rows` rows of the table, in the order of the keys, and deletes those that have expired. Returns the
    /// number of deleted rows. After the end of the table, the next call begins anew. Decisions do this too.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be reached, or the table is not there.
    ///
    /// # Cancel safety
    ///
    /// If the call is dropped, the rows may have been deleted, and the next call looks at them again.
    pub async fn sweep(&self, rows: u32) -> Result<u64, StoreError> {
        self.inner.sweep_on(&mut *self.inner.swept.lock().await, rows.into()).await
    }

    /// Sweeps in the background, if it is time to and no other sweep is on its way.
    fn sweep_sometimes(&self) {
        if self.inner.calls.fetch_add(1, Ordering::Relaxed) + 1 < CALLS {
            return;
        }
        let Ok(mut swept) = self.inner.swept.clone().try_lock_owned() else { return };
        let rows = ROWS.saturating_mul(self.inner.calls.swap(0, Ordering::Relaxed)).min(MOST_ROWS);
        let inner = self.inner.clone();
        tokio::spawn(async move {
            // After a failure, the next sweep tries again.
            let _ = tokio::time::timeout(SWEEPING, inner.sweep_on(&mut swept, rows as i64)).await;
        });
    }
}

impl Inner {
    async fn sweep_on(&self, swept: &mut (Vec<u8>, Vec<u8>), rows: i64) -> Result<u64, StoreError> {
        let live = self.link.get().await?;
        let types = [Type::BYTEA, Type::BYTEA, Type::INT8];
        let prepare = || live.client.prepare_typed(include_str!("sweep.sql"), &types);
        let statement = live.sweep.get_or_try_init(prepare).await.map_err(request::unprepared)?;
        let row = live.client.query_opt(statement, &[&swept.0, &swept.1, &rows]).await.map_err(request::failure)?;
        let (next, deleted) = match row {
            Some(row) => {
                let has_more: bool = row.try_get(3).map_err(request::failure)?;
                let deleted: i64 = row.try_get(2).map_err(request::failure)?;
                let last = || Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?));
                (has_more.then(last).transpose().map_err(request::failure)?, deleted)
            }
            None => (None, 0),
        };
        *swept = next.unwrap_or_default();
        Ok(deleted.unsigned_abs())
    }
}

impl Store for PostgresStore {
    async fn decide(&self, request: Request<'_>) -> Result<Outcome, StoreError> {
        let live = self.inner.link.get().await?;
        let mut report = Report::new(&self.inner.link, live.clone(), request.patience);
        let prepare = || request::prepare(&live.client);
        let decided = match live.decide.get_or_try_init(prepare).await {
            Ok(statement) => request::execute(&live.client, statement, &request).await,
            Err(error) => Err(request::unprepared(error)),
        };
        report.set(decided.as_ref().err().map_or(Sign::Answered, request::sign));
        self.sweep_sometimes();
        decided
    }

    fn connections(&self) -> u64 {
        self.inner.link.made()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

/// The settings of a [`PostgresStore`].
#[must_use = "a builder does nothing until `connect`"]
pub struct PostgresStoreBuilder {
    config: Config,
    syncs: bool,
}

impl PostgresStoreBuilder {
    /// Lets a decision wait until it is on the server's disk, so that a crash forgets none. By default it does not wait. This
    /// takes as long as the disk takes, and decisions on one connection come one after the other.
    pub fn sync_commits(mut self) -> Self {
        self.syncs = true;
        self
    }

    /// Connects to the server. `tls` is [`NoTls`], or a connector of `postgres-native-tls`,
    /// `tokio-postgres-rustls` or alike.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be reached.
    pub async fn connect<T>(self, tls: T) -> Result<PostgresStore, StoreError>
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let PostgresStoreBuilder { mut config, syncs } = self;
        if config.get_application_name().is_none() {
            config.application_name("brimful");
        }
        let commits = if syncs { "on" } else { "off" };
        let session: Arc<str> = format!("{SESSION}; SET synchronous_commit = {commits}").into();
        let link = Link::new(move || -> Connecting {
            let (config, tls, session) = (config.clone(), tls.clone(), session.clone());
            Box::pin(async move {
                let (client, connection) = config.connect(tls).await?;
                let driver = tokio::spawn(connection).abort_handle();
                client.batch_execute(&session).await?;
                Ok(Live { client, driver, decide: OnceCell::new(), sweep: OnceCell::new() })
            })
        });
        link.get().await?;
        Ok(PostgresStore { inner: Arc::new(Inner { link, calls: AtomicU64::new(0), swept: Arc::default() }) })
    }
}

impl fmt::Debug for PostgresStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStoreBuilder").field("sync_commits", &self.syncs).finish_non_exhaustive()
    }
}
