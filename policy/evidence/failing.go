package evidence

import (
	"log/slog"

	"github.com/countersign/countersign/policy/text"
)

// recordResult records whether a registry answered, and returns what logs a change, or nil: while a registry fails,
// decisions rely on evidence that was found before, and new signatures are not found. The caller holds mu, and must not
// hold it while it logs.
func (k *Keeper) recordResult(of *registryState, err error) (log func()) {
	before, host := of.isFailing, of.host
	of.isFailing = err != nil
	switch {
	case err == nil && before:
		return func() { k.log.Info("requests for signatures succeed again", slog.String("registry", host)) }
	case err != nil && !before:
		cause := text.Summary(err.Error(), maxFailure)
		return func() {
			k.log.Warn("requests for signatures fail: evidence that was found before stays in use",
				slog.String("registry", host), slog.String("error", cause))
		}
	default:
		return nil
	}
}
