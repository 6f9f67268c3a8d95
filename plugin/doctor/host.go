package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/cri"
)

// Disk is the file system of a directory.
type Disk struct {
	Directory string
	ReadOnly  bool
	// Free are the bytes that can be written.
	Free int64
}

// Clock is the time on a node, and what is known about it.
type Clock struct {
	Now time.Time
	// After is a time that is certainly over, by Witness.
	After   time.Time
	Witness string
	// Synchronised reports whether a time service disciplines the clock.
	Synchronised Known[bool]
}

func readClock(config *conf.Config) Clock {
	clock := Clock{Now: time.Now()}
	clock.Synchronised.Value, clock.Synchronised.Err = synchronised()
	if build, ok := debug.ReadBuildInfo(); ok {
		at := slices.IndexFunc(build.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.time" })
		if at >= 0 {
			clock.After, _ = time.Parse(time.RFC3339, build.Settings[at].Value)
			clock.Witness = "this program was built"
		}
	}
	if config == nil {
		return clock
	}
	for _, path := range []string{config.Evidence.Directory, filepath.Dir(config.Evidence.Directory)} {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(clock.After) {
			clock.After, clock.Witness = info.ModTime(), path+" was written"
		}
	}
	return clock
}

// hostChecks are the checks of the host.
func hostChecks() []Check {
	return []Check{
		{
			"evidence_writable", "the evidence directory can be written",
			"mount it with read and write access, or set [evidence] directory, and ReadWritePaths of the unit, to another one",
			evidenceWritable,
		},
		{
			"evidence_space", "there is space for evidence",
			"free space on that file system, or increase [evidence] max_size; evidence that is not stored is fetched again",
			evidenceSpace,
		},
		{
			"clock", "the clock is right",
			"start a time service, such as chronyd or systemd-timesyncd: the validity of certificates depends on the clock",
			clockIsRight,
		},
		{
			"kubelet", "the kubelet reports what the author of a pod wrote",
			"upgrade the kubelet to 1.28 or later: earlier ones do not report the reference in the pod", kubeletReports,
		},
	}
}

func evidenceWritable(n *Node) Answer {
	config, err := n.config()
	if err != nil {
		return unknown(err)
	}
	if check := n.Daemon.Value.Check("evidence"); n.Daemon.Err == nil && check.Status == string(No) {
		return no(check.Cause)
	}
	if n.Disk.Err != nil {
		return unknown(n.Disk.Err)
	}
	if n.Disk.Value.ReadOnly {
		return no(fmt.Sprintf("%s is on a read-only file system", n.Disk.Value.Directory))
	}
	if info, err := os.Stat(config.Evidence.Directory); err == nil && !info.IsDir() {
		return no(config.Evidence.Directory + " is not a directory")
	}
	return yes(config.Evidence.Directory)
}

// minSpace is the size of the largest signature.
const minSpace = int64(conf.MiB)

func evidenceSpace(n *Node) Answer {
	if _, err := n.config(); err != nil {
		return unknown(err)
	}
	if n.Disk.Err != nil {
		return unknown(n.Disk.Err)
	}
	if disk := n.Disk.Value; disk.Free < minSpace {
		return no(fmt.Sprintf("the file system of %s has %d KiB left", disk.Directory, disk.Free>>10))
	}
	stored := n.Daemon.Value.Evidence
	if n.Daemon.Err == nil && stored.MaxBytes > 0 && stored.MaxBytes-stored.Bytes < minSpace {
		return no(fmt.Sprintf("%d of %d MiB are used: the least recently used evidence is evicted", stored.Bytes>>20,
			stored.MaxBytes>>20))
	}
	return yes(fmt.Sprintf("%d MiB are free", n.Disk.Value.Free>>20))
}

// maxSkew is the largest error of the clock that has no effect.
const maxSkew = 5 * time.Minute

func clockIsRight(n *Node) Answer {
	clock := n.Clock
	if behind := clock.After.Sub(clock.Now); behind > maxSkew {
		return no(fmt.Sprintf("it is %s, and %s later, at %s", clock.Now.UTC().Format(time.RFC3339), clock.Witness,
			clock.After.UTC().Format(time.RFC3339)))
	}
	if clock.Synchronised.Err != nil {
		return unknown(clock.Synchronised.Err)
	}
	if !clock.Synchronised.Value {
		return unknown(errors.New("no time service disciplines the kernel's clock, so that its error is not known"))
	}
	return yes("a time service disciplines it")
}

// kubeletReports looks at the newest container of the kubelet, and without one at the version of the installed kubelet.
func kubeletReports(n *Node) Answer {
	if n.Containers.Err == nil {
		var newest *cri.Container
		for i := range n.Containers.Value {
			found := &n.Containers.Value[i]
			if found.Kubelet && (newest == nil || found.Created.After(newest.Created)) {
				newest = found
			}
		}
		if newest != nil && newest.Written {
			return yes("")
		}
		if newest != nil {
			return no(fmt.Sprintf("the kubelet did not report the reference of container %.12s in pod %s/%s", newest.ID,
				newest.Namespace, newest.Pod))
		}
	}
	switch version := n.Kubelet.Value; {
	case n.Kubelet.Err != nil:
		return unknown(n.Kubelet.Err)
	case version == "":
		return yes("no kubelet is installed, and no container of one runs")
	case minorOf(version) < 0:
		return unknown(fmt.Errorf("kubelet --version prints %q", version))
	case minorOf(version) < 28:
		return no("the kubelet is version " + version)
	default:
		return yes(version)
	}
}

// minorOf returns the second number of a version such as "Kubernetes v1.36.3"; -1: there is none.
func minorOf(version string) int {
	found := regexp.MustCompile(`\bv1\.(\d{1,4})\.`).FindStringSubmatch(version)
	if found == nil {
		return -1
	}
	minor, _ := strconv.Atoi(found[1])
	return minor
}

// kubeletVersion runs the installed kubelet. It runs no program that a process is called after: any user may start a
// process with that name.
func kubeletVersion(ctx context.Context) (string, error) {
	for _, directory := range []string{"/usr/local/bin", "/usr/bin", "/opt/bin"} {
		path := filepath.Join(directory, "kubelet")
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			continue
		}
		output, err := exec.CommandContext(ctx, path, "--version").Output()
		if err != nil {
			return "", fmt.Errorf("running %s --version: %w", path, err)
		}
		return strings.TrimSpace(string(output)), nil
	}
	return "", nil
}
