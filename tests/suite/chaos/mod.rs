mod kill_everything;
mod kill_the_worker;
mod pause_the_worker;
