//! Mail programs of others, as clients of ours and as its next hops, by every way that mail takes.
//! The matrix is printed; a cell says `ok`, or which fact about the other program stands in its way.

use std::fmt;

mod letter; // what is sent, and whether it has come as it was
mod world; // our relays, a sink behind them, and the gateways of others
mod clients; // programs that hand mail in
mod gateways; // servers that pass it on: to us, and from us
mod greylist; // a next hop that wants to be asked twice

/// The columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    Plain,
    StartTls,
    ImplicitTls,
    /// Behind STARTTLS.
    Auth,
    SmtpUtf8,
    /// 25 MiB.
    Large,
    /// 100 recipients.
    Hundred,
}

impl Feature {
    pub const ALL: [Self; 7] = [
        Self::Plain,
        Self::StartTls,
        Self::ImplicitTls,
        Self::Auth,
        Self::SmtpUtf8,
        Self::Large,
        Self::Hundred,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::StartTls => "STARTTLS",
            Self::ImplicitTls => "implicit TLS",
            Self::Auth => "AUTH",
            Self::SmtpUtf8 => "SMTPUTF8",
            Self::Large => "25 MiB",
            Self::Hundred => "100 recipients",
        }
    }

    /// How the connection is made, as the gateways name it.
    pub fn way(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::ImplicitTls => "implicit",
            Self::Auth => "auth",
            Self::Plain | Self::SmtpUtf8 | Self::Large | Self::Hundred => "plain",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Passed,
    /// A fact about the other program, which the test has just seen.
    Reason(&'static str),
    /// The program is not here.
    Skipped,
    Failed(String),
}

impl From<Result<(), String>> for Cell {
    fn from(result: Result<(), String>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Passed)
    }
}

/// A program in one direction.
pub struct Row {
    pub name: String,
    pub cells: Vec<Cell>,
    /// Why it is not here.
    pub skipped: Option<String>,
}

impl Row {
    pub fn skipped(name: String, why: String) -> Self {
        Self { name, cells: vec![Cell::Skipped; Feature::ALL.len()], skipped: Some(why) }
    }
}

struct Matrix(Vec<Row>);

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:26}", "")?;
        for feature in Feature::ALL {
            write!(f, "{:16}", feature.title())?;
        }
        let mut reasons: Vec<&str> = Vec::new();
        for row in &self.0 {
            write!(f, "\n{:26}", row.name)?;
            for cell in &row.cells {
                let text = match cell {
                    Cell::Passed => "ok".to_owned(),
                    Cell::Skipped => "skipped".to_owned(),
                    Cell::Failed(_) => "FAILED".to_owned(),
                    Cell::Reason(reason) => {
                        let known = reasons.iter().position(|known| known == reason);
                        let at = known.unwrap_or_else(|| {
                            reasons.push(reason);
                            reasons.len() - 1
                        });
                        format!("reason {}", at + 1)
                    }
                };
                write!(f, "{text:16}")?;
            }
        }
        for (at, reason) in reasons.iter().enumerate() {
            write!(f, "\nreason {}: {reason}", at + 1)?;
        }
        for row in &self.0 {
            if let Some(why) = &row.skipped {
                write!(f, "\nskipped: {}: {why}", row.name)?;
            }
            for (feature, cell) in Feature::ALL.iter().zip(&row.cells) {
                if let Cell::Failed(error) = cell {
                    write!(f, "\nFAILED: {}, {}: {error}", row.name, feature.title())?;
                }
            }
        }
        writeln!(f)
    }
}

impl Matrix {
    /// Also when the test passes, so past the capture of the test's output.
    fn print(&self) -> std::io::Result<()> {
        use std::io::Write as _;
        write!(std::io::stderr(), "\n{self}")
    }

    fn failures(&self) -> usize {
        let cells = self.0.iter().flat_map(|row| &row.cells);
        cells.filter(|cell| matches!(cell, Cell::Failed(_))).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_passes_between_us_and_others() -> anyhow::Result<()> {
    let world = world::World::start().await?;
    let (clients, gateways) = tokio::join!(clients::rows(&world), gateways::rows(&world));
    let mut rows = clients?;
    rows.extend(gateways?);
    let matrix = Matrix(rows);
    matrix.print()?;
    assert_eq!(matrix.failures(), 0, "{matrix}");
    Ok(())
}
