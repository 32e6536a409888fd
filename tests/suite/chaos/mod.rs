mod kill_everything;
mod kill_the_worker;
