mod storm; // mail under way while something breaks
mod kill_everything;
mod workers;
mod brokers;
mod ingress;
mod policies;
mod disks;
mod clocks;
mod rollout; // pods and brokers are replaced
mod restored; // everything is lost but a backup
