package limits

import (
	"math"
	"time"
)

// A window is a budget of so many units in any period, which comes back steadily, and of which all may be spent at once. It is the
// generic cell rate algorithm (LIM-04): all that is known of a spender is one number, the theoretical arrival time, up to which its
// budget is spent; taking back what was charged too much is subtraction, and loses nothing.
type window struct {
	units  float64 // above 0
	period time.Duration
}

// price is what work takes of the period, rounded up to a nanosecond. false: more than there ever is.
func (w window) price(work float64) (time.Duration, bool) {
	p := math.Ceil(work / w.units * float64(w.period))
	if !(p >= 0 && p <= float64(w.period)) { // nor what is no number
		return 0, false
	}
	return time.Duration(p), true
}

// slack is what prices that were rounded up may come to together: parts of a budget add up to it.
const slack = time.Microsecond

// wait is how long a spender whose budget is spent up to tat must wait for price; 0 is not at all.
func (w window) wait(tat, now, price time.Duration) time.Duration {
	if over := max(tat, now) + price - now - w.period; over > slack {
		return over
	}
	return 0
}

// left is how much of the budget there is.
func (w window) left(tat, now time.Duration) float64 {
	return w.units * (1 - float64(max(tat-now, 0))/float64(w.period))
}

// spend and giveBack move a theoretical arrival time. A budget is never more than full.
func spend(tat, now, price time.Duration) time.Duration    { return max(tat, now) + price }
func giveBack(tat, now, price time.Duration) time.Duration { return max(tat-price, now) }
