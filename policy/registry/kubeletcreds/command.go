package kubeletcreds

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// groupCommand returns a command that is killed with all its descendants when ctx ends: such programs are often
// scripts.
func groupCommand(ctx context.Context, program string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, program, args...)
	command.WaitDelay = time.Second
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	return command
}

// limitedBuffer stores what is written to it up to a limit.
type limitedBuffer struct {
	kept bytes.Buffer
	left int
}

// Write fails if the limit is exceeded.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("the output is too large")
	}
	return b.kept.Write(p)
}

// helperProgram is a run of a credential helper.
type helperProgram struct{ command *exec.Cmd }

// Output runs the helper and returns its standard output.
func (p *helperProgram) Output() ([]byte, error) {
	output := &limitedBuffer{left: maxProviderAnswer}
	p.command.Stdout = output
	err := p.command.Run()
	return bytes.TrimSpace(output.kept.Bytes()), err
}

// Input sets the helper's standard input.
func (p *helperProgram) Input(in io.Reader) { p.command.Stdin = in }
