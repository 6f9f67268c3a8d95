package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// process is a program that runs until it is stopped.
type process struct {
	name    string
	command *exec.Cmd
	ended   chan struct{}
	err     error // Valid once ended is closed.
}

// program is the command to run, and where its output goes.
type program struct {
	path        string
	arguments   []string
	environment []string
	directory   string
	// output receives stdout and stderr; if access is set, it receives stdout instead. Both files are appended to.
	output, access string
	// files are open files for the program, from descriptor 3 on.
	files []*os.File
}

// start starts a program in its own process group, which the kernel kills when this process dies. The kernel watches
// the thread that started the program, not the process, so one thread does nothing but wait for it.
func start(p program) (*process, error) {
	output, err := os.OpenFile(p.output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.path, err)
	}
	defer output.Close()
	// No context of a call ends it: only stop and kill do.
	command := exec.CommandContext(context.Background(), p.path, p.arguments...)
	command.Dir = p.directory
	command.Env = append(os.Environ(), p.environment...)
	command.Stdout, command.Stderr = output, output
	command.ExtraFiles = p.files
	command.SysProcAttr = attributes()
	if p.access != "" {
		access, err := os.OpenFile(p.access, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("starting %s: %w", p.path, err)
		}
		defer access.Close()
		command.Stdout = access
	}
	result := &process{name: filepath.Base(p.path), command: command, ended: make(chan struct{})}
	started := make(chan error)
	go result.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.path, err)
	}
	return result, nil
}

func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.command.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.command.Wait()
	close(p.ended)
}

// exited returns an error once the process has ended.
func (p *process) exited() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended: %w", p.name, errors.Join(p.err, errEnded))
	default:
		return nil
	}
}

var errEnded = errors.New("it was to run until stopped")

// kill kills the process and its group at once, unless it has ended.
func (p *process) kill() {
	if p.exited() == nil {
		_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
	}
	<-p.ended
}

// stop sends SIGTERM, and kills the process when the context or the grace period ends. It returns how the process
// ended.
func (p *process) stop(ctx context.Context, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM", p.name, grace)
	}
}

// operationTimeout is the timeout of any operation on a node, because a test's own context only ends with the test.
const operationTimeout = time.Minute

// until checks a condition repeatedly until it is true. When the context ends or the timeout expires, it returns the
// last error. An error made by [stopAsking] ends it at once.
func until(ctx context.Context, what string, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	return poll(ctx, what, condition)
}

// poll is like until, but without a timeout of its own.
func poll(ctx context.Context, what string, condition func(context.Context) error) error {
	return pollEvery(ctx, 20*time.Millisecond, what, condition)
}

func pollEvery(
	ctx context.Context, interval time.Duration, what string, condition func(context.Context) error,
) error {
	pause := time.NewTicker(interval)
	defer pause.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		if hopeless := (*hopelessError)(nil); errors.As(err, &hopeless) {
			return fmt.Errorf("waiting for %s: %w", what, hopeless.error)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %w", what, context.Cause(ctx), err)
		case <-pause.C:
		}
	}
}

// hopelessError is an error that another attempt cannot resolve.
type hopelessError struct{ error }

func stopAsking(err error) error {
	if err == nil {
		return nil
	}
	return &hopelessError{err}
}
