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

// groupCommand returns a command that is killed when ctx ends, together with all processes that it has started: such
// programs are often scripts.
func groupCommand(ctx context.Context, program string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, program, args...)
	command.WaitDelay = time.Second
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	return command
}

// limitedBuffer keeps what is written to it as long as there is room.
type limitedBuffer struct {
	kept bytes.Buffer
	left int
}

// Write fails when there is no room left.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("too much is written")
	}
	return b.kept.Write(p)
}

// helperProgram is a credential helper that is about to run.
type helperProgram struct{ command *exec.Cmd }

// Output returns what the helper writes to its standard output.
func (p *helperProgram) Output() ([]byte, error) {
	output := &limitedBuffer{left: maxProviderAnswer}
	p.command.Stdout = output
	err := p.command.Run()
	return bytes.TrimSpace(output.kept.Bytes()), err
}

// Input is what the helper reads from its standard input.
func (p *helperProgram) Input(in io.Reader) { p.command.Stdin = in }
