package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The clock of this machine is not touched, because others depend on it. Only the daemon sees another time: the
// function clock_gettime that the kernel maps into each process (the vDSO) is replaced in its memory by one that makes
// the system call and adds a number of seconds to CLOCK_REALTIME. A time namespace does not have another
// CLOCK_REALTIME, and libfaketime cannot reach a program that does not use libc.

// clockFaults are those of the clock.
func clockFaults() []fault { return []fault{{name: "clock set", happen: clockSet}} }

// clockSet sets the daemon's clock forward and back.
func clockSet(ctx context.Context, l *lab) error {
	process := l.daemon.Process()
	if process == nil {
		return errNoDaemon
	}
	for _, by := range []time.Duration{time.Hour, -time.Hour, 400 * 24 * time.Hour, -400 * 24 * time.Hour, 0} {
		if err := setClock(ctx, process, by); err != nil {
			return fmt.Errorf("setting the daemon's clock: %w", err)
		}
		pause(ctx, hold/4)
	}
	return nil
}

// setClock has a process see another time, while it is stopped outside of what is replaced.
func setClock(ctx context.Context, process *os.Process, by time.Duration) error {
	for {
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		done, err := patchClock(process.Pid, int32(by/time.Second)) //nolint:gosec // Offsets are shorter than 68 years.
		if err := errors.Join(err, process.Signal(syscall.SIGCONT)); err != nil || done {
			return err
		}
		if !pause(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
}

// clockCode is the replacement: it adds seconds to CLOCK_REALTIME, which is clock 0.
func clockCode(seconds int32) []byte {
	code := []byte{
		0xb8, 0xe4, 0x00, 0x00, 0x00, // mov eax, SYS_clock_gettime
		0x0f, 0x05, // syscall
		0x85, 0xff, // test edi, edi
		0x75, 0x07, // jne to ret
		0x48, 0x81, 0x06, // add qword [rsi], seconds
	}
	code = binary.LittleEndian.AppendUint32(code, uint32(seconds)) //nolint:gosec // It is the same bits.
	return append(code, 0xc3)                                      // ret
}

// patchClock replaces the function in a stopped process, and returns false if a thread is about to execute it.
func patchClock(pid int, seconds int32) (bool, error) {
	first, last, err := vdso(pid)
	if err != nil {
		return false, err
	}
	if inside, err := isExecuting(pid, first, last); err != nil || inside {
		return false, err
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return false, fmt.Errorf("opening the memory: %w", err)
	}
	defer memory.Close()
	image := make([]byte, last-first)
	if _, err := memory.ReadAt(image, int64(first)); err != nil { //nolint:gosec // It is an address of a process.
		return false, fmt.Errorf("reading the vDSO: %w", err)
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return false, fmt.Errorf("parsing the vDSO: %w", err)
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return false, fmt.Errorf("parsing the vDSO: %w", err)
	}
	for _, symbol := range symbols {
		if symbol.Name != "__vdso_clock_gettime" {
			continue
		}
		if _, err := memory.WriteAt(clockCode(seconds), int64(first+symbol.Value)); err != nil { //nolint:gosec // As above.
			return false, fmt.Errorf("writing into the vDSO: %w", err)
		}
		return true, nil
	}
	return false, errors.New("the vDSO has no clock_gettime")
}

// vdso returns where a process has the vDSO.
func vdso(pid int) (first, last uint64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("reading the mappings: %w", err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(line, "[vdso]\n") {
			_, err := fmt.Sscanf(line, "%x-%x", &first, &last)
			return first, last, err
		}
	}
	return 0, 0, errors.New("the process has no vDSO")
}

// isExecuting reports whether a thread may be between two addresses.
func isExecuting(pid int, first, last uint64) (bool, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	if err != nil {
		return false, err
	}
	for _, task := range tasks {
		counter, isKnown := programCounter(task)
		if !isKnown || counter >= first && counter < last {
			return true, nil
		}
	}
	return false, nil
}

// programCounter returns where a stopped thread is: the last field of its file "syscall". A thread that has not stopped
// yet is "running". One that has ended since is nowhere.
func programCounter(task string) (counter uint64, isKnown bool) {
	state, err := os.ReadFile(task)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return 0, true
	}
	fields := strings.Fields(string(state))
	if err != nil || len(fields) < 3 {
		return 0, false
	}
	counter, err = strconv.ParseUint(strings.TrimPrefix(fields[len(fields)-1], "0x"), 16, 64)
	return counter, err == nil
}
