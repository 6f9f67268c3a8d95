package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/countersign/countersign/integration/node"
)

// packages are in the root besides the essential ones. strace kills processes at a chosen system call, rpm installs
// packages of other distributions, and the others are what documented commands run.
const packages = "systemd,systemd-sysv,strace,rpm,curl,jq,openssl"

// Root returns the directory of a root filesystem, which machines share and do not change. It is in the cache,
// .cache/debian in the repository, and is made if it is not there yet, which takes about a minute. It has the
// distribution of this machine, and its packages come from where this machine gets them.
func Root(ctx context.Context, progress io.Writer) (string, error) {
	repository, err := node.Repository()
	if err != nil {
		return "", err
	}
	cache := filepath.Join(repository, ".cache", "debian")
	root := filepath.Join(cache, strings.ReplaceAll(packages, ",", "-"))
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("making the cache of roots: %w", err)
	}
	unlock, err := node.Lock(ctx, root+".lock", progress)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	return root, build(ctx, root, progress)
}

// build makes a root under a temporary name and renames it, so a root is always complete.
func build(ctx context.Context, root string, progress io.Writer) error {
	if err := node.InstallDebian(ctx, progress, "debootstrap"); err != nil {
		return fmt.Errorf("making a Debian root: it needs debootstrap: %w", err)
	}
	suite, mirror, err := source(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "making a root filesystem of %s …\n", suite)
	temporary := root + ".new"
	if err := os.RemoveAll(temporary); err != nil {
		return fmt.Errorf("making a Debian root: %w", err)
	}
	command := exec.CommandContext(ctx, "debootstrap", "--variant=minbase", "--include="+packages, suite, temporary,
		mirror)
	if text, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("debootstrap: %w\n%s", err, text[max(0, len(text)-4096):])
	}
	if err := os.RemoveAll(filepath.Join(temporary, "var/cache/apt/archives")); err != nil {
		return fmt.Errorf("making a Debian root: %w", err)
	}
	return os.Rename(temporary, root)
}

// source returns the release of this machine, and where it gets its packages.
func source(ctx context.Context) (suite, mirror string, err error) {
	text, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format",
		"$(ORIGIN) $(COMPONENT) $(RELEASE) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", "", fmt.Errorf("asking apt for its sources: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		distribution := len(fields) == 4 && (fields[0] == "Debian" || fields[0] == "Ubuntu")
		if distribution && fields[1] == "main" && !strings.Contains(fields[2], "-") {
			return fields[2], fields[3], nil
		}
	}
	return "", "", errors.New("apt has no source of Debian or Ubuntu packages on this machine")
}
