package supervisor

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Pauses before the daemon is started again. The first one is that of the service, and it doubles while the daemon ends
// soon after each start.
const (
	minPause = 200 * time.Millisecond
	maxPause = 30 * time.Second
	// longRun is how long a daemon runs that starts properly.
	longRun = time.Minute
)

// stopTimeout is how long a daemon may take to end. Pulls that it serves may take four minutes.
const stopTimeout = 5 * time.Minute

// request is what a signal asks of a supervisor.
type request int

// The requests.
const (
	restart request = iota // None: the daemon has ended for another reason.
	replace
	stop
)

// Supervisor runs the daemon. Create one with [Node.NewSupervisor].
type Supervisor struct {
	node *Node
	log  *slog.Logger
	// lock is held while this process runs.
	lock *os.File
	// child is the daemon, if this process has started it; nil: an earlier supervisor has.
	child *child
}

// child is a process that was started here.
type child struct {
	process *os.Process // nil: it could not be started
	started time.Time
	exited  chan *os.ProcessState
}

// NewSupervisor makes this process the supervisor. It must have been started as one.
func (n *Node) NewSupervisor(log *slog.Logger) (*Supervisor, error) {
	lock, err := inherit()
	if err != nil {
		return nil, err
	}
	syscall.Umask(0o077) // As for the service.
	return &Supervisor{node: n, log: log, lock: lock}, nil
}

// Run runs the daemon until SIGTERM: then it ends the daemon, and returns. SIGHUP is passed on to the daemon. SIGUSR1
// replaces the daemon and the supervisor by the program that is installed now.
func (s *Supervisor) Run(signals <-chan os.Signal) error {
	pause := time.Duration(0)
	for {
		lock, requested, err := s.await(signals)
		if err != nil {
			return err
		}
		if s.child != nil {
			pause = s.reap(pause)
		}
		if requested == restart {
			requested = s.wait(signals, pause)
		}
		switch requested {
		case restart:
		case stop:
			s.log.Info("the supervisor ends")
			return lock.Close()
		case replace:
			// The daemon's lock is closed on success.
			s.log.Error("the supervisor goes on as it is", "error", s.exec())
		}
		s.start(lock)
	}
}

// await waits until no daemon runs, passes signals on to the one that does, and returns the daemon's lock.
func (s *Supervisor) await(signals <-chan os.Signal) (lock *os.File, requested request, err error) {
	acquired := make(chan *os.File, 1)
	failed := make(chan error, 1)
	go func() {
		lock, err := acquire(s.node.lock(daemonLock), true)
		if err != nil {
			failed <- err
			return
		}
		acquired <- lock
	}()
	var overdue <-chan time.Time
	for {
		select {
		case lock := <-acquired:
			return lock, requested, nil
		case err := <-failed:
			return nil, requested, err
		case <-overdue:
			s.log.Error("the daemon does not end, and is killed")
			s.signal(syscall.SIGKILL)
		case received := <-signals:
			if received == syscall.SIGHUP {
				s.signal(syscall.SIGHUP)
				continue
			}
			requested = max(requested, requestOf(received))
			s.signal(syscall.SIGTERM)
			overdue = time.After(stopTimeout)
		}
	}
}

func requestOf(received os.Signal) request {
	switch received {
	case syscall.SIGHUP:
		return restart
	case syscall.SIGUSR1:
		return replace
	default:
		return stop
	}
}

// signal sends a signal to the daemon.
func (s *Supervisor) signal(number syscall.Signal) {
	process, err := s.daemon()
	if process != nil {
		err = process.Signal(number)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.log.Warn("the daemon receives no signal", "signal", number.String(), "error", err)
	}
}

// daemon returns the process of the daemon; nil: none runs.
func (s *Supervisor) daemon() (*os.Process, error) {
	if s.child != nil {
		return s.child.process, nil
	}
	return holder(s.node.lock(daemonLock))
}

// reap logs why the daemon has ended, and returns the pause before it is started again.
func (s *Supervisor) reap(pause time.Duration) time.Duration {
	state := <-s.child.exited
	pause = nextPause(pause, time.Since(s.child.started))
	s.log.Warn("the daemon has ended", "cause", state.String(), "pause", pause.String())
	s.child = nil
	return pause
}

// nextPause returns the pause after a daemon that ran for some time.
func nextPause(pause, ran time.Duration) time.Duration {
	if ran >= longRun {
		return minPause
	}
	return min(max(2*pause, minPause), maxPause)
}

// wait waits for a pause, or for a signal: after a SIGHUP, the daemon is started at once.
func (s *Supervisor) wait(signals <-chan os.Signal, pause time.Duration) request {
	select {
	case <-time.After(pause):
		return restart
	case received := <-signals:
		return requestOf(received)
	}
}

// start starts the daemon. If that fails, it is tried again after a pause, as if the daemon had ended.
func (s *Supervisor) start(lock *os.File) {
	environment, problem := s.node.environment()
	if problem != nil {
		s.log.Warn("the environment of the daemon is not complete", "error", problem)
	}
	s.child = &child{started: time.Now(), exited: make(chan *os.ProcessState, 1)}
	command, err := s.node.start(lock, environment, s.node.Daemon)
	if err != nil {
		s.log.Error("the daemon does not start", "error", err)
		s.child.exited <- nil
		return
	}
	s.child.process = command.Process
	s.log.Info("the daemon is started", "pid", command.Process.Pid)
	go reapProcess(command, s.child.exited)
}

func reapProcess(command *exec.Cmd, exited chan<- *os.ProcessState) {
	_ = command.Wait() // The state has the cause.
	exited <- command.ProcessState
}

// exec replaces this process by the program that is installed now. It keeps its process ID and its lock.
func (s *Supervisor) exec() error {
	if err := keepOnExec(s.lock); err != nil {
		return err
	}
	arguments := append([]string{s.node.Program}, s.node.Supervise...)
	if err := syscall.Exec(s.node.Program, arguments, os.Environ()); err != nil {
		return fmt.Errorf("replacing the supervisor: %w", err)
	}
	return nil
}
