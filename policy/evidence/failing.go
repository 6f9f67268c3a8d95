package evidence

import "log/slog"

// maxFailing bounds the number of registries that are known to fail.
const maxFailing = 1024

// recordResult records whether a registry answered, and returns what logs a change, or nil: while a registry fails,
// decisions rely on evidence that was found before, and new signatures are not found. The caller holds mu, and must not
// hold it while it logs.
func (k *Keeper) recordResult(host string, err error) (log func()) {
	_, failing := k.failing[host]
	switch {
	case err == nil && failing:
		delete(k.failing, host)
		return func() { k.log.Info("requests for signatures succeed again", slog.String("registry", host)) }
	case err != nil && !failing && len(k.failing) < maxFailing:
		k.failing[host] = struct{}{}
		cause := shorten(err.Error())
		return func() {
			k.log.Warn("requests for signatures fail: evidence that was found before stays in use",
				slog.String("registry", host), slog.String("error", cause))
		}
	default:
		return nil
	}
}
