"""Somebody else's class, wrapped: a client of a weather service.

Prints:

    GET /stations/7
    GET /stations/8
    Forecast(station=7, text='rain', valid=600)
    GET /stations/9
    GET /stations/9
    WeatherClient.forecast: miss, never-cached
    POST /reports
    GET /stations/7
    Forecast(station=7, text='snow', valid=60)
    Forecast(station=8, text='sun', valid=60)
"""

from dataclasses import dataclass

import pussycache
from pussycache import Cached, Forget

# As if it came from a package: we cannot change it. -------------------------------------------


@dataclass(frozen=True)
class Forecast:
    station: int
    text: str
    valid: int  # seconds


class WeatherClient:
    def __init__(self, url):
        self.url = url
        self._weather = {7: "rain", 8: "sun"}

    def forecast(self, station, *, units="metric"):
        print(f"GET /stations/{station}")
        text = self._weather.get(station)
        return text and Forecast(station, text, valid=600 if text == "rain" else 60)

    def report(self, station_id, text):
        print("POST /reports")
        self._weather[station_id] = text


# Ours. ----------------------------------------------------------------------------------------


def main():
    client = pussycache.wrap(
        WeatherClient("https://weather.example"),
        cached_methods={
            "forecast": Cached(
                ttl=lambda forecast: forecast.valid,  # the service says how long it is good
                when=lambda forecast: forecast is not None,
            )
        },
        # The two methods call the same thing by different names.
        invalidate_methods={"report": [Forget("forecast", station="station_id")]},
    )

    client.forecast(7)
    client.forecast(8)
    print(client.forecast(7, units="metric"))  # the default: the same call, already known

    client.forecast(9)
    client.forecast(9)  # there is none: not remembered
    print(pussycache.explain(client.forecast, 10))

    client.report(7, "snow")
    print(client.forecast(7))
    print(client.forecast(8))


if __name__ == "__main__":
    main()
